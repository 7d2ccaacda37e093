/* supervisor: tells the service manager how the process is: sd_notify(3), for a unit of Type=notify.
 *
 * One datagram each to the socket that $NOTIFY_SOCKET names, and nothing without one. It is not waited for, and whether it arrives
 * changes nothing.
 * Thread: control.
 */
#ifndef PGRING_ADMIN_SUPERVISOR_H
#define PGRING_ADMIN_SUPERVISOR_H

#include <stdint.h>

/* After the start, and after each reload, whatever came of it. */
void supervisor_ready(void);
/* now_ns: of CLOCK_MONOTONIC. */
void supervisor_reloading(uint64_t now_ns);
void supervisor_stopping(void);

#endif
