//! Processes that were started without us, and are patched later.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use hotpatch_protocol::{AGREED, ENV_WAIT, waiting_name};
use support::{Fixture, Output, Second, Started, Watch, command, run, values};

const MAIN: &str = "src/main.rs";

struct Scene {
    fixture: Fixture,
    started: Started,
}

impl Scene {
    fn open(fixture: &str) -> Scene {
        let fixture = Fixture::copy(fixture);
        let fat = run(command(fixture.root(), &["fat"])).expect_code(0);
        let program = PathBuf::from(fat.last_line());
        Scene { fixture, started: Started { pid: 0, addr: String::new(), program } }
    }

    /// A process that waits.
    fn waiting(&self) -> Second {
        Second::start(&self.fixture, &self.started, &[(ENV_WAIT, "1".into())])
    }

    fn attach(&self, program: &Second) -> Watch {
        Watch::start_with(&self.fixture, &["--attach", &program.pid().to_string()])
    }

    /// The words with which it cannot be attached to.
    fn refusal(&self, pid: u32) -> Output {
        run(command(self.fixture.root(), &["watch", "--attach", &pid.to_string()])).expect_code(4)
    }
}

#[test]
fn a_process_that_waits_is_patched_with_what_was_saved_before_and_after() {
    let scene = Scene::open("kinds");
    let program = scene.waiting();
    program.wait_text("own=20");
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid()));
    assert!(status.is_ok_and(|status| status.contains("Threads:\t2\n")));

    // Attached to in vain once: nothing is lost by that.
    scene.attach(&program).stop();
    scene.fixture.set(MAIN, "own", "20", "21");
    let mut watch = scene.attach(&program);
    watch.applied();
    program.wait_text("own=21");
    scene.fixture.set("src/lib.rs", "shared", "10", "11");
    watch.applied();
    let said = program.wait_text("own=21 shared=11");
    assert_eq!(values(&said)[""], format!("tick {}", values(&said)["kept"]));
    watch.stop();
    program.next_line();

    // A new server knows nothing of the patches of the old one.
    let mut watch = Watch::spawn(&scene.fixture, &["--attach", &program.pid().to_string()]);
    let told = watch.wait_event("warning", |e| e.text("message").contains("turned away"));
    assert!(told.text("message").contains("restart it"), "{told:?}");
    program.next_line();
    watch.stop();
}

#[test]
fn a_process_that_does_not_wait_costs_nothing_and_is_named() {
    let scene = Scene::open("kinds");
    let program = Second::start(&scene.fixture, &scene.started, &[]);
    program.wait_text("own=20");
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid()));
    assert!(status.is_ok_and(|status| status.contains("Threads:\t1\n")));
    scene.refusal(program.pid()).expect_text("does not wait").expect_text("HOTPATCH_WAIT=1");
    // Whoever takes the name of its socket is told nothing.
    let address = SocketAddr::from_abstract_name(waiting_name(program.pid())).expect("an address");
    let _taken = UnixListener::bind_addr(&address).expect("a free name");
    scene.refusal(program.pid()).expect_text("another process has taken its place");
    scene.refusal(std::process::id()).expect_text("does not run what the last");
    scene.refusal(u32::MAX >> 2).expect_text("is gone, or not yours");
    let scene = Scene::open("growing");
    scene.refusal(1).expect_text("starts the runtime itself").expect_text("--no-run");
}

/// What the process answers to a caller; nothing is an answer too.
fn answer(pid: u32, said: &str) -> Vec<u8> {
    let address = SocketAddr::from_abstract_name(waiting_name(pid)).expect("an address");
    let mut caller = UnixStream::connect_addr(&address).expect("a process that waits");
    let mut answer = Vec::new();
    // It may hang up before everything is said.
    let _ = caller.write_all(said.as_bytes()).and_then(|()| caller.shutdown(Shutdown::Write));
    let _ = caller.read_to_end(&mut answer);
    answer
}

#[test]
fn only_the_same_user_is_listened_to() {
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        skip!("only root can speak as another user");
    }
    let scene = Scene::open("kinds");
    let program = scene.waiting();
    program.wait_text("own=20");
    let (pid, invitation) = (program.pid(), r#"{"address":"127.0.0.1:1","token":"x"}"#);
    let stranger = std::thread::spawn(move || {
        // SAFETY: the bare system call changes the user of this thread only, which ends soon.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
        answer(pid, invitation)
    });
    assert_eq!(stranger.join().expect("an answer"), b"");
    assert_eq!(answer(pid, "no invitation"), b"");
    assert_eq!(answer(pid, invitation), AGREED);
    // None of this keeps the next one out.
    scene.fixture.set(MAIN, "own", "20", "21");
    scene.attach(&program).applied();
    program.wait_text("own=21");
}
