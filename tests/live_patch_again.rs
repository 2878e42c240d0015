//! One-shot patches of programs that go on running between them.

mod support;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Instant;

use hotpatch_protocol::{ENV_ADDR, ENV_TOKEN};
use support::{Fixture, Output, Second, Started, command, run};

const MAIN: &str = "src/main.rs";

struct Scene {
    fixture: Fixture,
    started: Started,
    variables: Vec<(&'static str, String)>,
}

impl Scene {
    fn open() -> Scene {
        let fixture = Fixture::copy("growing");
        let fat = run(command(fixture.root(), &["fat"])).expect_code(0);
        let program = PathBuf::from(fat.last_line());
        // Free now, and nobody else asks for it by its number.
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = socket.local_addr().expect("an address").to_string();
        let variables = vec![(ENV_ADDR, addr.clone()), (ENV_TOKEN, "secret".to_owned())];
        Scene { fixture, started: Started { pid: 0, addr, program }, variables }
    }

    fn program(&self) -> Second {
        Second::start(&self.fixture, &self.started, &self.variables)
    }

    fn patch(&self) -> Output {
        let mut patch = command(self.fixture.root(), &["patch", "--wait", "100"]);
        patch.envs(self.variables.iter().map(|(n, v)| (n, v)));
        run(patch).expect_code(0)
    }

    fn says(&self, from: &str, to: &str) {
        self.fixture.set(MAIN, "extra", &format!("{from:?}"), &format!("{to:?}"));
    }
}

#[test]
fn each_goes_on_where_the_last_one_ended() {
    let scene = Scene::open();
    let program = scene.program();
    program.wait_text("extra=none");
    for (from, to) in [("none", "one"), ("one", "two"), ("two", "none"), ("none", "three")] {
        scene.says(from, to);
        scene.patch();
        program.wait_text(&format!("extra={to}"));
    }
    // What an earlier patch added is there for a later one.
    let with = "fn extra(tick: u64) -> String {\n    static CALLS: AtomicU64 = AtomicU64::new(0);\n    \
        return format!(\"{} calls\", CALLS.fetch_add(1, Ordering::SeqCst) > 5);\n";
    scene.fixture.edit(MAIN, "fn extra(tick: u64) -> String {\n", with);
    scene.patch();
    program.wait_text("extra=true calls");
    scene.fixture.edit(MAIN, "{} calls", "{} for more than five calls");
    scene.patch();
    let line = program.wait_text("for more than five calls");
    assert!(line.contains("extra=true"), "the static began anew: {line}");
    let line = program.next_line();
    let said = support::values(&line);
    assert_eq!(said[""], format!("tick {}", said["kept"]), "{line}");
}

#[test]
fn a_program_that_was_started_again_gets_all_of_them() {
    let scene = Scene::open();
    let first = scene.program();
    first.wait_text("extra=none");
    scene.says("none", "one");
    scene.patch();
    scene.says("one", "two");
    scene.patch();
    first.wait_text("extra=two");
    scene.patch().expect_text("nothing");
    drop(first);
    let second = scene.program();
    second.wait_text("extra=none");
    scene.patch().expect_text("nothing");
    second.wait_text("extra=two");
    let third = scene.program();
    third.wait_text("extra=none");
    scene.says("two", "three");
    scene.patch();
    // The first to answer ends the command; the others get the rest with the next one.
    let deadline = Instant::now() + support::PATIENCE;
    let newest = |program: &Second| program.next_line().contains("extra=three");
    while !(newest(&second) && newest(&third)) {
        assert!(Instant::now() < deadline, "one of the two is left behind");
        scene.patch();
    }
}
