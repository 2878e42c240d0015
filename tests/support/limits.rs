//! Limits that a process is started with, and a tool that can do less than others.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Has the system refuse a call to this process and all that it starts; for `pre_exec`.
pub fn refuse_call(number: libc::c_long) -> std::io::Result<()> {
    filter_call(number, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32)
}

/// Has the system not know a call, as an older one; for `pre_exec`.
pub fn lack_call(number: libc::c_long) -> std::io::Result<()> {
    filter_call(number, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32)
}

/// Has the system end whoever makes this call; for `pre_exec`.
pub fn end_at_call(number: libc::c_long) -> std::io::Result<()> {
    filter_call(number, libc::SECCOMP_RET_KILL_PROCESS)
}

fn filter_call(number: libc::c_long, action: u32) -> std::io::Result<()> {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS: the system call's number
    const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let mut steps = [
        step(LOAD, 0, 0),
        libc::sock_filter { jf: 1, ..step(IF_EQUAL, 0, number as u32) },
        step(RETURN, 0, action),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    // SAFETY: the program is valid for the length of the calls.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A linker in `folder` that gcc takes for GNU's with the arguments that are returned, and that
/// refuses the options that a shell pattern in `refused` fits. Without these, it leaves nothing
/// open where `strict`.
pub fn narrow_linker(folder: &Path, refused: &[&str], strict: bool) -> Option<[String; 2]> {
    let real = which::which("ld.bfd").ok()?;
    let refused = refused.join("|");
    let strict = if strict { "set -- -z defs \"$@\"" } else { ":" };
    let script = format!(
        "#!/bin/sh\nfor a; do case \"$a\" in\n\
         {refused}) echo \"ld: unrecognized option '$a'\" >&2; exit 1;;\nesac; done\n\
         for a; do [ \"$a\" = -shared ] && {strict}; done\nexec '{}' \"$@\"\n",
        real.display()
    );
    let file = folder.join("ld.bfd");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(&file, script).expect("a script");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a script");
    Some([format!("-B{}", folder.display()), "-fuse-ld=bfd".into()])
}
