// The module is its header.
#include "CEpoll.h"
