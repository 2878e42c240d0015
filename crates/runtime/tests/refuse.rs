//! What cannot be taken is answered with the reason, and the program goes on as it was.

mod support;

use std::net::Shutdown;

use hotpatch_protocol::frame::{self, PatchHeader};
use hotpatch_protocol::manifest::{Binding, BindingKind, Entry, Manifest};
use hotpatch_protocol::message::{ClientMessage, RefusalKind, ServerMessage};
use support::library::frame_of;
use support::{Client, Program, Server, Template, applied, refused};
use tungstenite::Message;

#[test]
fn victim() {
    support::victim::main();
}

struct Scene {
    program: Program,
    client: Client,
    template: Template,
    server: Server,
}

impl Scene {
    fn new() -> Scene {
        let server = Server::new();
        let program = Program::start(Some(&server.address()), "");
        let client = server.client(&program.directory);
        let counter = Some(program.address("counter"));
        let functions = [program.address("left")];
        let template = Template::new(&program.directory, &client.hello, &functions, counter);
        Scene { program, client, template, server }
    }

    /// A frame whose manifest was changed.
    fn changed(&self, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut manifest = self.template.manifest.clone();
        change(&mut manifest);
        frame_of(&manifest, &self.template.library(&manifest, 9))
    }

    #[track_caller]
    fn is_refused(&mut self, frame: Vec<u8>, kind: RefusalKind, text: &str) {
        let refusal = refused(self.client.ask(frame), kind);
        assert!(refusal.error.contains(text), "{}", refusal.error);
    }

    /// The program runs its first code, and takes a patch as ever.
    #[track_caller]
    fn goes_on(mut self) {
        assert_eq!(self.program.number("left"), 0);
        applied(self.client.ask(self.template.frame(1, 1)));
        assert_eq!(self.program.number("left"), 1);
    }
}

#[test]
fn a_patch_that_runs_already_is_not_loaded_again() {
    let mut scene = Scene::new();
    applied(scene.client.ask(scene.template.frame(1, 1)));
    applied(scene.client.ask(scene.template.frame(2, 2)));
    let answer = applied(scene.client.ask(scene.template.frame(1, 1)));
    assert!(answer.duplicate);
    assert_eq!((scene.program.number("left"), scene.program.number("after")), (2, 2));
}

#[test]
fn patches_come_in_order() {
    let mut scene = Scene::new();
    let frame = scene.template.frame(2, 2);
    scene.is_refused(frame, RefusalKind::OutOfOrder, "cannot follow");
    let frame = scene.template.frame(0, 2);
    scene.is_refused(frame, RefusalKind::OutOfOrder, "cannot follow");
    applied(scene.client.ask(scene.template.frame(1, 1)));
    let frame = scene.template.frame(1, 7);
    scene.is_refused(frame, RefusalKind::OutOfOrder, "another patch 1");
    assert_eq!(scene.program.number("left"), 1);
}

#[test]
fn a_patch_for_another_build_is_not_loaded() {
    let mut scene = Scene::new();
    let frame = scene.changed(|m| m.build_id = vec![1, 2, 3]);
    scene.is_refused(frame, RefusalKind::WrongBuild, "010203");
    let library = scene
        .template
        .library(&Manifest { build_id: vec![1, 2, 3], ..scene.template.manifest.clone() }, 9);
    let frame = frame_of(&scene.template.manifest, &library);
    scene.is_refused(frame, RefusalKind::WrongBuild, "another build");
    let frame = scene.changed(|m| {
        m.canary.panic = m.canary.panic.chars().rev().collect();
    });
    scene.is_refused(frame, RefusalKind::WrongBuild, "dniwnu");
    scene.goes_on();
}

#[test]
fn a_library_that_is_none_is_refused() {
    let mut scene = Scene::new();
    for garbage in [&b""[..], b"garbage", &[0x7f; 5000]] {
        let frame = frame_of(&scene.template.manifest, garbage);
        scene.is_refused(frame, RefusalKind::Malformed, "ELF");
    }
    let whole = scene.template.library(&scene.template.manifest, 9);
    for cut in [60, 64, 300, 4096, whole.len() / 2, whole.len() - 1] {
        let frame = frame_of(&scene.template.manifest, &whole[..cut]);
        scene.is_refused(frame, RefusalKind::Malformed, "");
    }
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let frame = frame_of(&scene.template.manifest, &own);
    scene.is_refused(frame, RefusalKind::Malformed, "__hotpatch_manifest");
    scene.goes_on();
}

#[test]
fn a_manifest_that_points_to_nowhere_is_refused() {
    let mut scene = Scene::new();
    let entry = scene.template.manifest.entries[0];
    let binding = scene.template.manifest.bindings[0];
    let far = 1 << 40;
    for (change, text) in [
        (Entry { old_offset: far, ..entry }, "no function to replace"),
        (Entry { old_image: 5, ..entry }, "patch 5, which does not run"),
        (Entry { old_size: 4, ..entry }, "too few"),
    ] {
        let frame = scene.changed(|m| m.entries[0] = change);
        let kind = match text {
            "too few" => RefusalKind::CodeNotWritable,
            _ => RefusalKind::Malformed,
        };
        scene.is_refused(frame, kind, text);
    }
    for (change, text) in [
        (Binding { kind: BindingKind::Copy, value: far, ..binding }, "nothing to be copied"),
        (Binding { image: 1, ..binding }, "patch 1, which does not run"),
    ] {
        let frame = scene.changed(|m| m.bindings[0] = change);
        scene.is_refused(frame, RefusalKind::Malformed, text);
    }
    for rel in [0, i32::MIN, i32::MAX] {
        let frame = scene.template.with_new_function_at(rel);
        scene.is_refused(frame, RefusalKind::Malformed, "no new function");
        let frame = scene.template.with_place_at(rel.wrapping_sub(0x1000));
        scene.is_refused(frame, RefusalKind::Malformed, "not writable");
    }
    scene.goes_on();
}

#[test]
fn a_library_that_the_loader_does_not_take_is_refused_in_its_words() {
    let mut scene = Scene::new();
    let frame = scene.template.with_undefined_symbol(&scene.program.directory);
    scene.is_refused(frame, RefusalKind::LoadFailed, "nowhere_to_be_found");
    assert!(!scene.program.has_patches());
    scene.goes_on();
}

#[test]
fn frames_that_are_none_are_refused() {
    let mut scene = Scene::new();
    let frame = scene.template.frame(1, 1);
    for frame in [vec![], vec![0, 0], vec![0xff; 100], frame[..20].to_vec()] {
        let refusal = refused(scene.client.ask(frame), RefusalKind::Malformed);
        assert_eq!(refusal.patch, 0);
    }
    let mut frame = frame;
    frame[4] = b'!';
    scene.is_refused(frame, RefusalKind::Malformed, "header");
    scene.client.socket.send(Message::text("{\"type\":\"unknown\"}")).unwrap();
    scene.goes_on();
}

#[test]
fn an_empty_patch_header_is_refused() {
    let mut scene = Scene::new();
    let header = PatchHeader {
        patch: u32::MAX,
        build_id: String::new(),
        content_hash: "../../../etc".into(),
        functions: vec![],
        carried: vec![],
    };
    let frame = frame::encode(&header, b"").unwrap();
    scene.is_refused(frame, RefusalKind::WrongBuild, "build");
    scene.goes_on();
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_is_read() {
    use std::io::Write;
    let mut scene = Scene::new();
    // A header that announces a terabyte.
    let mut header = vec![0x82, 127];
    header.extend_from_slice(&(1u64 << 40).to_be_bytes());
    scene.client.socket.get_mut().write_all(&header).unwrap();
    let refusal = refused(scene.client.answer(), RefusalKind::Malformed);
    assert!(refusal.error.contains("too long") || refusal.error.contains("big"), "{refusal:?}");
    // It dials again.
    let Scene { program, template, server, .. } = scene;
    let client = server.client(&program.directory);
    Scene { program, client, template, server }.goes_on();
}

#[test]
fn what_is_no_websocket_frame_ends_the_connection_and_it_dials_again() {
    use std::io::Write;
    let mut scene = Scene::new();
    scene.client.socket.get_mut().write_all(&[0xff; 64]).unwrap();
    let Scene { program, template, server, client } = scene;
    let again = server.client(&program.directory);
    drop(client);
    Scene { program, client: again, template, server }.goes_on();
}

#[test]
fn a_connection_that_ends_within_a_frame_is_dialed_again() {
    use std::io::Write;
    let Scene { program, template, server, mut client } = Scene::new();
    let mut part = vec![0x82, 126, 0x10, 0x00];
    part.extend_from_slice(&[0; 100]);
    client.socket.get_mut().write_all(&part).unwrap();
    client.socket.get_mut().shutdown(Shutdown::Both).unwrap();
    let client = server.client(&program.directory);
    Scene { program, client, template, server }.goes_on();
}

#[test]
fn after_a_reconnect_the_program_says_what_it_runs() {
    let Scene { mut program, template, server, mut client } = Scene::new();
    assert!(client.hello.applied.is_empty());
    applied(client.ask(template.frame(1, 1)));
    applied(client.ask(template.frame(2, 2)));
    let address = server.address();
    drop((client, server));
    // Gone for long enough that it has to try more than once.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let server = Server::at(&address);
    let mut client = server.client(&program.directory);
    assert_eq!(client.hello.applied, [1, 2]);
    applied(client.ask(template.frame(3, 3)));
    assert_eq!(program.number("left"), 3);
}

#[test]
fn who_takes_the_port_of_a_server_that_is_gone_is_told_nothing() {
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED who_takes_the_port: only root can listen as another user");
        return;
    }
    let Scene { mut program, template, server, client } = Scene::new();
    let address = server.address();
    drop((client, server));
    let port = address.clone();
    let stranger = std::thread::spawn(move || {
        // SAFETY: the bare system call changes the user of this thread only, which ends soon.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
        let mut socket = tungstenite::accept(Server::at(&port).stream()).unwrap();
        socket.read().map(|heard| heard.to_string())
    });
    assert!(stranger.join().unwrap().is_err(), "the program says hello");
    // Not so the one that it knows.
    let server = Server::at(&address);
    let mut client = server.client(&program.directory);
    applied(client.ask(template.frame(1, 1)));
    assert_eq!(program.number("left"), 1);
}

#[test]
fn a_program_that_is_not_wanted_says_so_once_and_does_not_dial_again() {
    let server = Server::new();
    let mut program = Program::start(Some(&server.address()), "");
    let mut client = server.unwelcomed();
    client.say(&ServerMessage::Reject { reason: "wrong token".into(), permanent: true });
    assert!(client.socket.read().is_err());
    // The runtime's thread ends.
    while program.ask("threads").contains("hotpatch") {}
    assert_eq!(program.number("left"), 0);
}

#[test]
fn a_program_that_is_sent_away_for_now_dials_again() {
    let server = Server::new();
    let program = Program::start(Some(&server.address()), "");
    let mut client = server.unwelcomed();
    client.say(&ServerMessage::Reject { reason: "later".into(), permanent: false });
    drop(client);
    server.client(&program.directory);
}

#[test]
fn a_full_disk_is_named_and_leaves_no_file() {
    let mut scene = Scene::new();
    let Some(small) = SmallDisk::mount(&scene.program.directory.join("small")) else {
        println!("not run: a small file system can only be mounted by root");
        return;
    };
    let directory = Some(small.path().display().to_string());
    scene.client.say(&ServerMessage::Welcome { cache_dir: directory });
    let mut library = scene.template.library(&scene.template.manifest, 1);
    library.resize(1 << 20, 0);
    let frame = frame_of(&scene.template.manifest, &library);
    scene.is_refused(frame, RefusalKind::NoSpace, "No space left");
    assert_eq!(std::fs::read_dir(small.path()).unwrap().count(), 0);
    drop(small);
    scene.goes_on();
}

/// A file system of 64 KiB.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let path = std::ffi::CString::new(at.to_str()?).ok()?;
        // SAFETY: all strings end with a zero byte.
        let result = unsafe {
            let kind = c"tmpfs".as_ptr();
            libc::mount(kind, path.as_ptr(), kind, 0, c"size=64k".as_ptr().cast())
        };
        (result == 0).then(|| SmallDisk(at.to_path_buf()))
    }

    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = std::ffi::CString::new(self.0.to_str().unwrap()).unwrap();
        // SAFETY: the path ends with a zero byte.
        unsafe { libc::umount(path.as_ptr()) };
    }
}

#[test]
fn a_cache_directory_that_is_a_file_is_passed_over() {
    let mut scene = Scene::new();
    let directory = Some("/dev/null".to_string());
    scene.client.say(&ServerMessage::Welcome { cache_dir: directory });
    let answer = scene.client.ask(scene.template.frame(1, 1));
    assert!(matches!(answer, ClientMessage::Applied(_)), "{answer:?}");
    assert_eq!(scene.program.number("left"), 1);
}
