/* Linked into a second ocalad that is built for tests only: SIGUSR2 makes its control thread try
 * the call that the file `attempt` of its working directory names ("NAME PATH"), and note in
 * `result` what came of it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/attempt.h"

static int asked = -1, answer = -1;

static void on_signal(int number)
{
    char text[512] = "", reply[32];
    ssize_t size = pread(asked, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    char *path = strchr(text, ' ');
    if (path)
        *path++ = '\0';
    int length = snprintf(reply, sizeof reply, "%d\n", attempt(text, path ? path : ""));
    if (ftruncate(answer, 0) || pwrite(answer, reply, (size_t)length, 0) != length)
        _exit(99);
}

__attribute__((constructor)) static void hook(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    asked = open("attempt", O_RDONLY | O_CLOEXEC);
    answer = open("result", O_RDWR | O_CLOEXEC);
    if (asked >= 0 && answer >= 0)
        sigaction(SIGUSR2, &action, NULL);
}
