//! gdb finds its way in patched code.

mod support;

use support::{Fixture, Watch, plain_command, run};

const MAIN: &str = "src/main.rs";

#[test]
fn gdb_breaks_in_a_patched_function() {
    if which::which("gdb").is_err() {
        skip!("no gdb");
    }
    let fixture = Fixture::copy("growing");
    let mut watch = Watch::start(&fixture);
    watch.wait_values(&[("extra", "none")]);
    fixture.edit(
        MAIN,
        "    String::from(\"none\") // EDIT extra",
        "    let seen = tick / u64::MAX;\n    format!(\"patched {seen}\") // EDIT extra",
    );
    watch.applied();
    watch.wait_values(&[("extra", "patched 0")]);
    let line = fixture.line_of(MAIN, "extra");
    let started = watch.started();
    let (place, pid) = (format!("break main.rs:{line}"), started.pid.to_string());
    let commands = [
        "set pagination off",
        "set breakpoint pending on",
        &place,
        "continue",
        "backtrace 2",
        "info symbol $pc",
        "detach",
    ];
    let mut args = vec!["-nx", "-batch", "-p", &pid];
    args.extend(commands.iter().flat_map(|c| ["-ex", c]));
    let gdb = run(plain_command("gdb", &args));
    if gdb.stderr.contains("Operation not permitted") {
        skip!("gdb may not attach here: {}", gdb.stderr.trim());
    }
    let gdb = gdb.expect_text("growing::extra (tick=").expect_text(&format!("main.rs:{line}"));
    gdb.expect_text("growing::main").expect_text(".so");
    watch.let_it_run(3);
    fixture.edit(MAIN, "patched {seen}", "patched again {seen}");
    watch.applied();
    watch.wait_values(&[("extra", "patched again 0")]);
    watch.stop();
}
