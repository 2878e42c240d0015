//! Saves that the system does not tell of: made below the layers that the program's machine sees,
//! as from outside of a container.

mod support;

use support::{Fixture, Watch, plain_command, values};

/// In a mount namespace of its own: puts a layer over `src`, so that nothing tells `watch` of
/// saves below it, and starts `watch`.
const UNDER_A_LAYER: &str = "set -e
    mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work
    mount -t overlay overlay -o \"lowerdir=$PWD/src,upperdir=/mnt/upper,workdir=/mnt/work\" src
    exec \"$@\"";

fn layered(args: &[&str], fixture: &Fixture) -> std::process::Command {
    let mut all = vec!["-m", "sh", "-c", UNDER_A_LAYER, "sh"];
    all.extend(args);
    let mut command = plain_command("unshare", &all);
    support::target::configure(&mut command);
    command.current_dir(fixture.root());
    command
}

#[test]
fn saves_from_outside_of_a_container_are_found_by_looking() {
    let fixture = Fixture::copy("unmodified");
    let allowed = layered(&["true"], &fixture).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        skip!("layers cannot be mounted here");
    }
    let tool = env!("CARGO_BIN_EXE_cargo-hotpatch");
    let args = [tool, "hotpatch", "watch", "--message-format", "json", "--poll"];
    let mut watch = Watch::spawn_command(layered(&args, &fixture));
    watch.wait("client-connected");
    watch.wait_values(&[("version", "0")]);
    for n in 1..=3 {
        let version = |n: u64| format!("const VERSION: u64 = {n};");
        fixture.edit("src/main.rs", &version(n - 1), &version(n));
        watch.applied();
        let newest = format!(" version={n} ");
        let said = values(&watch.wait_line(|l| l.starts_with("tick") && l.contains(&newest)));
        assert_eq!(format!("tick {}", said["atomic"]), said[""]);
    }
    watch.stop();
}
