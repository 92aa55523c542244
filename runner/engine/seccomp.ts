/**
 * The sandboxes' system-call filter: an allow list, as the engine's own default profile is, but narrower. A profile given to
 * the engine replaces its default, so the list has to be complete enough for a whole Debian userland (apt, python, node, bun).
 *
 * Left out on purpose, although the engine's default has them or grants them with a capability:
 * - io_uring_*: a second way to most system calls that no filter sees; the kernel's richest recent source of escapes
 * - keyctl, add_key, request_key: keyrings are not namespaced by container
 * - bpf, perf_event_open, userfaultfd, memfd_secret, name_to_handle_at, kcmp, modify_ldt, personality beyond ASLR's flags
 * - mount, unshare, setns and clone with namespace flags: no namespace of one's own, hence no capability in one
 * - every second ABI (i386, x32): its `socketcall` hides its arguments in memory, out of a filter's sight, and would reopen
 *   each address family that is closed below
 */
const allowed: Record<string, readonly string[]> = {
  files: words(`
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
    fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate futimesat getcwd
    getdents getdents64 ioctl lchown link linkat lseek lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64
    preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile
    splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat
    utimes vmsplice write writev cachestat chroot`),
  attributes: words(`
    fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr removexattr
    setxattr`),
  memory: words(`
    brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap
    pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal`),
  processes: words(`
    arch_prctl capget capset execve execveat exit exit_group fork vfork getpgid getpgrp getpid getppid getpriority getrlimit
    getrusage getsid gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease
    ptrace process_vm_readv process_vm_writev rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_robust_list get_robust_list set_tid_address setpgid setpriority setrlimit setsid
    tgkill tkill times uname wait4 waitid landlock_add_rule landlock_create_ruleset landlock_restrict_self getcpu
    riscv_flush_icache`),
  identity: words(`
    getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid setresgid setresuid
    setreuid setuid`),
  signals: words(`
    restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_tgsigqueueinfo sigaltstack signalfd signalfd4`),
  time: words(`
    alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime`),
  waiting: words(`
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 futex futex_requeue futex_wait
    futex_waitv futex_wake inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
    io_pgetevents io_setup io_submit poll ppoll pselect6 select`),
  communication: words(`
    accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 recvfrom recvmmsg recvmsg semctl semget semop semtimedop
    sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown`),
  information: words(`getrandom sysinfo`),
};

const AF_UNIX = 1;
/** Address families a sandbox may open. Nothing else: no AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP, AF_BLUETOOTH, AF_TIPC … */
const internetFamilies = { AF_INET: 2, AF_INET6: 10 } as const;
/**
 * In these, what programs use: type (without its flags) and protocol. Any other pair would have the kernel load a module of its
 * own for it (SCTP, DCCP, UDP-Lite, L2TP …), on the node and for everyone, or opens one with its own record of escapes (MPTCP).
 */
const socketTypeMask = 0xf;
const transports = {
  tcp: { type: 1, protocols: [0, 6] },
  udp: { type: 2, protocols: [0, 17] },
  ping: { type: 2, protocols: [1, 58] },
} as const;
const AF_NETLINK = 16;
/** Reading routes (getaddrinfo, `ip`), socket tables (`ss`), and the audit record that sudo and su write. */
const netlinkProtocols = { NETLINK_ROUTE: 0, NETLINK_SOCK_DIAG: 4, NETLINK_AUDIT: 9 } as const;

/** Plain, UNAME26, ADDR_NO_RANDOMIZE (gdb), and the query for the present value. */
const personalities = [0x0, 0x20000, 0x40000, 0xffffffff];

/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; CLONE_NEWTIME shares its bit with clone's exit signal and is clone3's alone. */
const namespaceFlags = 0x7e020000;
const ENOSYS = 38;

interface Rule {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: { index: number; value: number; valueTwo?: number; op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ' }[];
}

/** The profile in the engine's own format; `--security-opt seccomp=` takes it as text. */
export function seccompProfile(): string {
  const rules: Rule[] = [
    { names: Object.values(allowed).flat(), action: 'SCMP_ACT_ALLOW' },
    {
      names: ['socket', 'socketpair'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: AF_UNIX, op: 'SCMP_CMP_EQ' }],
    },
    ...internetSockets(),
    ...Object.values(netlinkProtocols).map((protocol): Rule => ({
      names: ['socket'],
      action: 'SCMP_ACT_ALLOW',
      args: [
        { index: 0, value: AF_NETLINK, op: 'SCMP_CMP_EQ' },
        { index: 2, value: protocol, op: 'SCMP_CMP_EQ' },
      ],
    })),
    ...personalities.map((value): Rule => ({
      names: ['personality'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
    })),
    {
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    },
    // "Not there" instead of "not permitted": C libraries and runtimes then fall back to what they used before.
    {
      names: ['clone3', 'io_uring_setup', 'io_uring_enter', 'io_uring_register'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: ENOSYS,
    },
  ];
  return JSON.stringify({
    defaultAction: 'SCMP_ACT_ERRNO',
    archMap: [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
    ],
    syscalls: rules,
  });
}

function internetSockets(): Rule[] {
  return Object.values(internetFamilies).flatMap((family) =>
    Object.values(transports).flatMap(({ type, protocols }) =>
      protocols.map((protocol) => ({
        names: ['socket'],
        action: 'SCMP_ACT_ALLOW' as const,
        args: [
          { index: 0, value: family, op: 'SCMP_CMP_EQ' as const },
          { index: 1, value: socketTypeMask, valueTwo: type, op: 'SCMP_CMP_MASKED_EQ' as const },
          { index: 2, value: protocol, op: 'SCMP_CMP_EQ' as const },
        ],
      })),
    ),
  );
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
