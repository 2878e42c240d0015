//! The watcher on real files, saved the ways editors save.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use cargo_hotpatch::watcher::{By, Saved, Watched, Watcher};

struct Bench {
    folder: tempfile::TempDir,
    watcher: Watcher,
    saves: Receiver<Saved>,
}

/// A folder with these files, all of them inputs, and one more to mark the end of a test.
fn bench(files: &[&str]) -> Bench {
    bench_by(By::Events, files)
}

fn bench_by(by: By, files: &[&str]) -> Bench {
    let bench = start(by);
    for file in files.iter().chain(&["end.rs"]) {
        fs::create_dir_all(bench.path(file).parent().unwrap()).unwrap();
        fs::write(bench.path(file), format!("// {file}\n")).unwrap();
    }
    bench.watch(files);
    bench
}

fn start(by: By) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (tell, saves) = mpsc::channel();
    let watcher = Watcher::start(by, move |saved| drop(tell.send(saved))).unwrap();
    Bench { folder, watcher, saves }
}

impl Bench {
    fn path(&self, file: &str) -> PathBuf {
        // The system's folder for temporary files may itself be a link.
        self.folder.path().canonicalize().unwrap().join(file)
    }

    fn watch(&self, files: &[&str]) {
        self.watch_since(files, SystemTime::now() + Duration::from_secs(3600));
    }

    fn watch_since(&self, files: &[&str], since: SystemTime) {
        let files: BTreeSet<_> =
            files.iter().chain(&["end.rs"]).map(|file| self.path(file)).collect();
        let made = self.path("target");
        let doubtful = files.iter().filter(|file| !file.starts_with(&made)).cloned().collect();
        self.watcher.watch(Watched { files, doubtful, since }).unwrap();
    }

    #[track_caller]
    fn saved(&self) -> Saved {
        self.saves.recv_timeout(Duration::from_secs(60)).expect("a save")
    }

    /// Waits until these files were told, and no others. On a busy machine a test may be halted
    /// between two writes for so long that they are two saves.
    #[track_caller]
    fn is_saved(&self, files: &[&str]) -> Saved {
        let mut expected: Vec<_> = files.iter().map(|file| self.path(file)).collect();
        loop {
            let saved = self.saved();
            for file in saved.files.iter().chain(&saved.same) {
                let known = files.iter().any(|name| self.path(name) == *file);
                assert!(known, "{file:?} was not saved: {saved:?}");
            }
            expected.retain(|file| !saved.files.contains(file));
            if expected.is_empty() {
                return saved;
            }
        }
    }

    /// Nothing is told before a save that comes later.
    #[track_caller]
    fn nothing_more(&self) {
        // Longer than the watcher holds back what looks unfinished.
        std::thread::sleep(Duration::from_millis(200));
        fs::write(self.path("end.rs"), format!("{:?}", Instant::now())).unwrap();
        let saved = self.is_saved(&["end.rs"]);
        assert!(saved.strangers.is_empty() && saved.same.is_empty(), "{saved:?}");
    }
}

fn replace(file: &Path, content: &str) {
    let temporary = file.with_extension("rs.tmp");
    fs::write(&temporary, content).unwrap();
    fs::rename(&temporary, file).unwrap();
}

#[test]
fn a_save_in_place_is_told_once() {
    let bench = bench(&["src/main.rs"]);
    let before = Instant::now();
    fs::write(bench.path("src/main.rs"), "new").unwrap();
    let saved = bench.is_saved(&["src/main.rs"]);
    assert!(saved.at >= before && saved.gone.is_empty());
    bench.nothing_more();
}

#[test]
fn a_save_in_pieces_is_told_once_with_the_final_content() {
    let bench = bench(&["src/main.rs"]);
    let mut file = fs::File::create(bench.path("src/main.rs")).unwrap();
    for _ in 0..10 {
        file.write_all(b"piece\n").unwrap();
        file.sync_data().unwrap();
    }
    drop(file);
    bench.is_saved(&["src/main.rs"]);
    bench.nothing_more();
}

#[test]
fn a_file_that_is_emptied_and_then_written_is_told_once() {
    let bench = bench(&["src/main.rs"]);
    drop(fs::File::create(bench.path("src/main.rs")).unwrap());
    std::thread::sleep(Duration::from_millis(15));
    fs::write(bench.path("src/main.rs"), "new").unwrap();
    bench.is_saved(&["src/main.rs"]);
    bench.nothing_more();
}

#[test]
fn a_save_by_rename_is_told_again_and_again() {
    let bench = bench(&["src/main.rs"]);
    for n in 0..5 {
        replace(&bench.path("src/main.rs"), &format!("new {n}"));
        bench.is_saved(&["src/main.rs"]);
    }
    bench.nothing_more();
}

#[test]
fn a_save_that_moves_the_old_file_away_first_is_told_once() {
    let bench = bench(&["src/main.rs"]);
    let file = bench.path("src/main.rs");
    fs::rename(&file, bench.path("src/main.rs~")).unwrap();
    fs::write(&file, "new").unwrap();
    let saved = bench.is_saved(&["src/main.rs"]);
    assert!(saved.gone.is_empty());
    bench.nothing_more();
}

#[test]
fn two_files_in_one_save_are_told_together() {
    let bench = bench(&["src/main.rs", "src/other.rs"]);
    fs::write(bench.path("src/other.rs"), "new").unwrap();
    replace(&bench.path("src/main.rs"), "new");
    bench.is_saved(&["src/main.rs", "src/other.rs"]);
    bench.nothing_more();
}

#[test]
fn a_file_of_which_no_event_tells_is_part_of_the_next_save() {
    let bench = bench(&["a.rs", "b.rs"]);
    // The folder of another name of the file is told of what is written by that name.
    let elsewhere = tempfile::tempdir_in(bench.folder.path().parent().unwrap()).unwrap();
    let other = elsewhere.path().join("b.rs");
    fs::hard_link(bench.path("b.rs"), &other).unwrap();
    fs::write(other, "new").unwrap();
    replace(&bench.path("a.rs"), "new");
    assert_eq!(bench.saved().files, [bench.path("a.rs"), bench.path("b.rs")]);
    fs::remove_file(bench.path("a.rs")).unwrap();
    let saved = bench.saved();
    assert_eq!((saved.files, saved.gone), (vec![bench.path("a.rs")], vec![bench.path("a.rs")]));
    bench.nothing_more();
}

#[test]
fn a_burst_ends_with_the_final_content_and_nothing_after_it() {
    let bench = bench(&["src/main.rs"]);
    for n in 0..200 {
        fs::write(bench.path("src/main.rs"), format!("new {n}")).unwrap();
    }
    bench.is_saved(&["src/main.rs"]);
    // Told before its end on a busy machine; then it is told again.
    while let Ok(saved) = bench.saves.recv_timeout(Duration::from_millis(200)) {
        let told = if saved.files.is_empty() { &saved.same } else { &saved.files };
        assert_eq!(*told, [bench.path("src/main.rs")]);
    }
    bench.nothing_more();
}

#[test]
fn a_save_without_a_change_is_told_as_that() {
    let bench = bench(&["src/main.rs"]);
    let file = bench.path("src/main.rs");
    let touched = fs::File::options().append(true).open(&file).unwrap();
    touched.set_modified(SystemTime::now()).unwrap();
    drop(touched);
    let saved = bench.saved();
    assert_eq!((saved.files.len(), &saved.same), (0, &vec![file.clone()]));
    replace(&file, "// src/main.rs\n");
    assert_eq!(bench.saved().same, [file]);
    bench.nothing_more();
}

#[test]
fn new_attributes_are_not_told() {
    let bench = bench(&["src/main.rs"]);
    let file = bench.path("src/main.rs");
    let mut permissions = fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&file, permissions).unwrap();
    bench.nothing_more();
}

#[test]
fn reading_the_sources_is_not_told() {
    let bench = bench(&["src/main.rs"]);
    fs::read(bench.path("src/main.rs")).unwrap();
    bench.nothing_more();
}

#[test]
fn a_deleted_file_is_told_as_gone_and_its_return_as_saved() {
    let bench = bench(&["src/main.rs"]);
    fs::remove_file(bench.path("src/main.rs")).unwrap();
    let saved = bench.is_saved(&["src/main.rs"]);
    assert_eq!(saved.gone, saved.files);
    fs::write(bench.path("src/main.rs"), "// src/main.rs\n").unwrap();
    assert!(bench.is_saved(&["src/main.rs"]).gone.is_empty());
    bench.nothing_more();
}

#[test]
fn a_deleted_folder_is_told_and_found_again() {
    let bench = bench(&["src/deep/er/a.rs"]);
    fs::remove_dir_all(bench.path("src/deep")).unwrap();
    let saved = bench.is_saved(&["src/deep/er/a.rs"]);
    assert_eq!(saved.gone, saved.files);
    fs::create_dir_all(bench.path("src/deep/er")).unwrap();
    fs::write(bench.path("src/deep/er/a.rs"), "back").unwrap();
    assert!(bench.is_saved(&["src/deep/er/a.rs"]).gone.is_empty());
    fs::write(bench.path("src/deep/er/a.rs"), "and again").unwrap();
    bench.is_saved(&["src/deep/er/a.rs"]);
}

#[test]
fn a_folder_that_is_exchanged_for_another_is_followed() {
    let bench = bench(&["src/a.rs"]);
    fs::create_dir(bench.path("new")).unwrap();
    fs::write(bench.path("new/a.rs"), "exchanged").unwrap();
    fs::rename(bench.path("src"), bench.path("old")).unwrap();
    fs::rename(bench.path("new"), bench.path("src")).unwrap();
    bench.is_saved(&["src/a.rs"]);
    fs::write(bench.path("old/a.rs"), "nobody's").unwrap();
    fs::write(bench.path("src/a.rs"), "followed").unwrap();
    bench.is_saved(&["src/a.rs"]);
}

#[test]
fn an_input_that_does_not_exist_yet_is_told_when_it_appears() {
    let bench = bench(&["src/main.rs"]);
    bench.watch(&["src/main.rs", ".cargo/config.toml", "rust-toolchain"]);
    fs::write(bench.path("rust-toolchain"), "stable").unwrap();
    bench.is_saved(&["rust-toolchain"]);
    fs::create_dir(bench.path(".cargo")).unwrap();
    fs::write(bench.path(".cargo/config.toml"), "[build]").unwrap();
    bench.is_saved(&[".cargo/config.toml"]);
}

#[test]
fn a_new_file_beside_the_inputs_is_told_as_a_stranger() {
    let bench = bench(&["src/main.rs"]);
    for temporary in ["src/.main.rs.swp", "src/4913", "src/main.rs~"] {
        fs::write(bench.path(temporary), "x").unwrap();
    }
    bench.nothing_more();
    fs::write(bench.path("src/foo.rs"), "new").unwrap();
    let saved = bench.saved();
    assert_eq!((saved.files.len(), saved.strangers), (0, vec![bench.path("src/foo.rs")]));
    fs::create_dir(bench.path("src/bar")).unwrap();
    fs::write(bench.path("src/bar/mod.rs"), "new").unwrap();
    assert_eq!(bench.saved().strangers, [bench.path("src/bar/mod.rs")]);
}

#[test]
fn a_save_does_not_wait_for_a_log_file_that_is_written_all_the_time() {
    let bench = bench(&["src/main.rs"]);
    let (stop, stopped) = mpsc::channel::<()>();
    let mut log = fs::File::create(bench.path("src/log.txt")).unwrap();
    let writing = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(2)) != Err(RecvTimeoutError::Disconnected)
        {
            log.write_all(b"line\n").unwrap();
        }
    });
    // It is new, and then no more than a file that changes.
    assert_eq!(bench.saved().strangers, [bench.path("src/log.txt")]);
    for n in 0..5 {
        replace(&bench.path("src/main.rs"), &format!("new {n}"));
        bench.is_saved(&["src/main.rs"]);
    }
    bench.nothing_more();
    drop(stop);
    writing.join().unwrap();
}

#[test]
fn each_way_to_save_is_seen_by_looking_too() {
    let bench = bench_by(By::Polling, &["src/main.rs", "src/other.rs", "src/deep/a.rs"]);
    let file = bench.path("src/main.rs");
    // Sooner after each other than the clocks of some file systems tick, and of one length.
    for n in 0..4 {
        fs::write(&file, format!("new {n}")).unwrap();
        bench.is_saved(&["src/main.rs"]);
    }
    replace(&file, "by rename");
    bench.is_saved(&["src/main.rs"]);
    fs::write(bench.path("src/other.rs"), "new").unwrap();
    bench.is_saved(&["src/other.rs"]);

    fs::remove_file(&file).unwrap();
    assert_eq!(bench.is_saved(&["src/main.rs"]).gone, std::slice::from_ref(&file));
    fs::write(&file, "back").unwrap();
    assert!(bench.is_saved(&["src/main.rs"]).gone.is_empty());
    fs::remove_dir_all(bench.path("src/deep")).unwrap();
    bench.is_saved(&["src/deep/a.rs"]);
    fs::create_dir(bench.path("src/deep")).unwrap();
    fs::write(bench.path("src/deep/a.rs"), "back").unwrap();
    bench.is_saved(&["src/deep/a.rs"]);

    fs::write(bench.path("src/new.rs"), "new").unwrap();
    while bench.saved().strangers != [bench.path("src/new.rs")] {}
}

#[test]
fn a_file_that_becomes_an_input_is_watched_and_one_that_is_none_any_more_is_not() {
    let bench = bench(&["src/main.rs", "lib/old.rs"]);
    fs::create_dir(bench.path("data")).unwrap();
    fs::write(bench.path("data/table.txt"), "1").unwrap();
    bench.watch(&["src/main.rs", "data/table.txt"]);
    fs::write(bench.path("lib/old.rs"), "nobody's").unwrap();
    fs::write(bench.path("data/table.txt"), "2").unwrap();
    bench.is_saved(&["data/table.txt"]);
    bench.nothing_more();
}

#[test]
fn a_file_saved_while_the_first_build_read_it_is_told() {
    let bench = start(By::Events);
    fs::create_dir_all(bench.path("target")).unwrap();
    let before = SystemTime::now() - Duration::from_secs(1);
    for file in ["main.rs", "end.rs", "target/made.rs"] {
        fs::write(bench.path(file), "x").unwrap();
    }
    bench.watch_since(&["main.rs", "target/made.rs"], before);
    bench.is_saved(&["end.rs", "main.rs"]);
    bench.nothing_more();
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_to_the_file_that_is_saved() {
    let bench = bench(&["src/main.rs"]);
    fs::create_dir(bench.path("real")).unwrap();
    fs::write(bench.path("real/one.rs"), "1").unwrap();
    fs::write(bench.path("real/two.rs"), "2").unwrap();
    std::os::unix::fs::symlink("../real/one.rs", bench.path("src/link.rs")).unwrap();
    bench.watch(&["src/main.rs", "src/link.rs"]);
    fs::write(bench.path("real/one.rs"), "changed").unwrap();
    bench.is_saved(&["src/link.rs"]);
    fs::remove_file(bench.path("src/link.rs")).unwrap();
    std::os::unix::fs::symlink("../real/two.rs", bench.path("src/link.rs")).unwrap();
    bench.is_saved(&["src/link.rs"]);
    replace(&bench.path("real/two.rs"), "changed too");
    bench.is_saved(&["src/link.rs"]);
}

#[test]
fn names_with_spaces_and_other_scripts_and_detours_are_watched() {
    let bench = bench(&["src/a b/größe.rs"]);
    let detour = "src/a b/../a b/größe.rs";
    bench.watch(&[detour, "src/a b/größe.rs"]);
    fs::write(bench.path("src/a b/größe.rs"), "new").unwrap();
    assert_eq!(bench.saved().files.len(), 2, "told under both names");
}

#[test]
fn thousands_of_inputs_are_watched_by_their_folders() {
    let names: Vec<_> = (0..5000).map(|n| format!("src/m{}/f{n}.rs", n % 10)).collect();
    let files: Vec<_> = names.iter().map(String::as_str).collect();
    let bench = bench(&files);
    fs::write(bench.path(&names[4321]), "new").unwrap();
    bench.is_saved(&[&names[4321]]);
    for name in &names {
        fs::write(bench.path(name), "all of them").unwrap();
    }
    // On a busy machine a file may be told twice: once emptied, once written.
    let mut told = BTreeSet::new();
    while told.len() < names.len() {
        told.extend(bench.saved().files);
    }
}
