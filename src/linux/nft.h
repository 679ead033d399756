/* nftables, through the `nft` program (its library's licence does not fit ours). */
#ifndef OCALA_LINUX_NFT_H
#define OCALA_LINUX_NFT_H

#include <stddef.h>

/* Runs `nft -f -` on the script, as one transaction: all of it or nothing.  -ENOPKG when there is
 * no nft program, -EPERM when it was refused for lack of privilege, -EINVAL otherwise; `err` then
 * holds what nft said, in one line. */
int linux_nft_run(const char *script, char *err, size_t size);

/* All rules of everybody as `nft list ruleset` prints them, without counters; the caller frees
 * *ret. */
int linux_nft_list(char **ret, char *err, size_t size);

#endif
