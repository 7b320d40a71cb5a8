/* Lets Debian's user-mode Linux run on CPUs with more state than it knows of.
 *
 * It sets a process's registers from a buffer of a fixed size. On a CPU with AMX the host's
 * kernel wants more bytes and answers EFAULT ("ptrace set fp regs failed, errno = 14").
 * This ptrace, loaded with LD_PRELOAD, adds the missing bytes: zeros, which mean that the
 * state behind the buffer is in its initial form.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long set_xstate(pid_t pid, const struct iovec *given)
{
    static char state[1 << 16];
    static size_t size;
    struct iovec whole = {state, sizeof state};

    if (size == 0) {
        if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &whole) < 0)
            return -1;
        size = whole.iov_len;
    }
    if (given->iov_len >= size)
        return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, given);
    memcpy(state, given->iov_base, given->iov_len);
    memset(state + given->iov_len, 0, size - given->iov_len);
    whole.iov_len = size;
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE)
        return set_xstate(pid, data);
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        /* The system call stores the word; the C function returns it. */
        long word;
        long result = syscall(SYS_ptrace, request, pid, address, &word);
        return result < 0 ? result : word;
    }
    return syscall(SYS_ptrace, request, pid, address, data);
}
