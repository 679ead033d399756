/* The state folder belongs to whom the daemon becomes. */
#ifndef OCALA_HELPER_STATE_FOLDER_H
#define OCALA_HELPER_STATE_FOLDER_H

#include <stddef.h>
#include <sys/types.h>

/* Makes the folder, or gives one that root made (a daemon that ran before its user existed) with
 * our own files in it to `uid`.  One that belongs to somebody else, or holds other things, is
 * refused: `err` says what to do. */
int state_folder_make(const char *path, uid_t uid, gid_t gid, char *err, size_t size);

#endif
