/* compat_uring: the kernel's newer io_uring constants, for the liburing of Debian 12 (2.3).
 *
 * Each is from Linux's include/uapi/linux/io_uring.h; whether the running kernel knows it is found out at start (ring_open).
 * IORING_SETUP_NO_SQARRAY is left out on purpose: liburing before 2.6 corrupts the ring with it.
 */
#ifndef PGRING_NET_COMPAT_URING_H
#define PGRING_NET_COMPAT_URING_H

#include <liburing.h>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4) /* Linux 6.10 */
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif

#endif
