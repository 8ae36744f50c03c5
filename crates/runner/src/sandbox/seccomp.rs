//! The system calls no deployment needs and an intruder would like.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Refused with `EPERM`: looking into other processes, kernel key rings, kernel programs and modules,
/// mounts and namespaces, asynchronous rings that pass other filters by, the clock and the machine.
const DENIED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// On x86-64 the kernel may also offer each call under this bit (the x32 interface); deny both doors.
#[cfg(target_arch = "x86_64")]
const ALIASES: &[i64] = &[0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const ALIASES: &[i64] = &[0];

/// The kernel's `CLONE_NEW*` flags in the low 32 bits, all of which make namespaces.
const NAMESPACE_FLAGS: &[u64] =
    &[0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// Arguments of `socket`, by place and value, that make sockets whose connections Landlock's port rules do not
/// see: the domains `AF_VSOCK` and `AF_SMC`, the protocols SCTP, SMC and MPTCP.
const UNWALLED_SOCKETS: &[(u8, u64)] = &[(0, 40), (0, 43), (2, 132), (2, 256), (2, 262)];

/// With this flag, sending connects, past Landlock's port rules.
const FAST_OPEN: u64 = 0x2000_0000;

/// The calls that take [`FAST_OPEN`], and the place of their flags.
const SENDING: &[(libc::c_long, u8)] = &[
    (libc::SYS_sendto, 3),
    (libc::SYS_sendmsg, 2),
    (libc::SYS_sendmmsg, 3),
    // The x32 interface has numbers of its own for the last two.
    #[cfg(target_arch = "x86_64")]
    (518, 2),
    #[cfg(target_arch = "x86_64")]
    (538, 3),
];

type Fault = Box<dyn std::error::Error>;

/// Puts the filters in force for this thread and everything it becomes or starts. Needs no-new-privileges.
pub(super) fn apply() -> Result<(), Fault> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    for filter in [refusing(arch)?, hiding_clone3(arch)?] {
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

fn refusing(arch: TargetArch) -> Result<SeccompFilter, Fault> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in DENIED {
        for alias in ALIASES {
            rules.insert(call | alias, Vec::new());
        }
    }
    let namespaces = NAMESPACE_FLAGS
        .iter()
        .map(|flag| {
            let set =
                SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(*flag), *flag)?;
            SeccompRule::new(vec![set])
        })
        .collect::<Result<Vec<_>, _>>()?;
    for alias in ALIASES {
        rules.insert(libc::SYS_clone | alias, namespaces.clone());
    }
    let sockets = UNWALLED_SOCKETS
        .iter()
        .map(|(place, value)| when(*place, SeccompCmpOp::Eq, *value))
        .collect::<Result<Vec<_>, _>>()?;
    for alias in ALIASES {
        rules.insert(libc::SYS_socket | alias, sockets.clone());
        for (call, flags) in SENDING {
            let connecting = when(*flags, SeccompCmpOp::MaskedEq(FAST_OPEN), FAST_OPEN)?;
            rules.insert(call | alias, vec![connecting]);
        }
    }
    filter(rules, libc::EPERM, arch)
}

/// A rule on one argument that is an `int`, of which the kernel reads the low 32 bits.
fn when(place: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, Fault> {
    let condition = SeccompCondition::new(place, SeccompCmpArgLen::Dword, compare, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

/// `clone3` takes its flags through memory, where a filter cannot look. Said to be missing, every C library
/// falls back to `clone`.
fn hiding_clone3(arch: TargetArch) -> Result<SeccompFilter, Fault> {
    let rules = ALIASES.iter().map(|alias| (libc::SYS_clone3 | alias, Vec::new())).collect();
    filter(rules, libc::ENOSYS, arch)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
    arch: TargetArch,
) -> Result<SeccompFilter, Fault> {
    let refuse = SeccompAction::Errno(u32::try_from(errno)?);
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?)
}
