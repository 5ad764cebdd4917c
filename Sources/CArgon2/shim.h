// libargon2, as it is: its argon2_ctx() takes lanes and threads apart, which the shorter calls do not.
#ifndef GATEHOUSE_CARGON2_SHIM_H
#define GATEHOUSE_CARGON2_SHIM_H

#include <argon2.h>

#endif
