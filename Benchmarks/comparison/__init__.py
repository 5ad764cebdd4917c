"""What `compare` is made of: `peers` (who is measured, one file each), `cases` (what is measured, one file a subject), and what they
share."""
