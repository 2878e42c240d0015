//! From the captured linker invocation to the one that links a patch: pure rewriting of
//! arguments.

use std::path::{Path, PathBuf};

use crate::target::linking::{Dialect, LeaveOpen};

/// A linker invocation's arguments in terms of what a patch needs of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlan {
    /// The arguments for the driver.
    pub args: Vec<String>,
    /// The directories that are searched for libraries.
    pub search: Vec<PathBuf>,
    /// The names (`-lNAME`) of the shared libraries.
    pub shared: Vec<String>,
}

/// Who links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// The linker's options.
    pub dialect: Dialect,
    /// Whether it is a linker itself and not a driver, so that options need no `-Wl,`.
    pub direct: bool,
    /// What makes it leave open what only the loader will find.
    pub open: LeaveOpen,
}

/// What can be looked up in a patch for Apple's systems: what this tool itself has put there. (A
/// pattern, since a name would have to be there.)
const EXPORTED: &str = "_*hotpatch_*";

/// Options that take a value of their own in the next argument and are dropped with it.
const DROPPED_WITH_VALUE: [&str; 22] = [
    "-o",
    "-e",
    "--entry",
    "-soname",
    "-h",
    "-Map",
    "--version-script",
    "--dynamic-list",
    "-exported_symbols_list",
    "--retain-symbols-file",
    "--require-defined",
    "-bundle_loader",
    "-exported_symbol",
    "-force_load",
    "-install_name",
    "-map",
    "-object_path_lto",
    "-order_file",
    "-pagezero_size",
    "-stack_size",
    "-undefined",
    "-unexported_symbols_list",
];

/// Options that are dropped.
const DROPPED: [&str; 31] = [
    "--eh-frame-hdr",
    "-shared",
    "-pie",
    "-no-pie",
    "-static",
    "-static-pie",
    "-rdynamic",
    "-s",
    "-S",
    "-dead_strip",
    "-nostartfiles",
    "--export-dynamic",
    "-E",
    "--gc-sections",
    "--error-unresolved-symbols",
    "--no-allow-shlib-undefined",
    "--no-undefined",
    "--no-undefined-version",
    "--warn-unresolved-symbols",
    "--whole-archive",
    "--no-whole-archive",
    "--start-group",
    "--end-group",
    "-adhoc_codesign",
    "-all_load",
    "-bundle",
    "-dylib",
    "-dynamiclib",
    "-execute",
    "-no_pie",
    "-x",
];

/// Options that are dropped whatever they are followed by in the same argument.
const DROPPED_PREFIXES: [&str; 15] = [
    "--unresolved-symbols=",
    "--strip-",
    "--build-id",
    "--version-script=",
    "--dynamic-list=",
    "--export-dynamic-symbol=",
    "--entry=",
    "--icf",
    "--print-",
    "--Map=",
    "-Map=",
    "-soname=",
    "--soname=",
    "-plugin",
    "--image-base",
];

/// Rewrites the captured arguments: one object in, one shared library out. Every library sees what
/// the program's own libraries offer; but what was loaded for a library is seen by that one only,
/// so its patches name the same libraries as needed.
pub fn plan(captured: &[String], object: &Path, output: &Path, how: How) -> LinkPlan {
    let mut plan = LinkPlan { args: Vec::new(), search: Vec::new(), shared: Vec::new() };
    let mut object_at = None;
    let mut shared = true;
    let of_library = captured.iter().any(|arg| arg == "-shared");
    let mut args = captured.iter();
    while let Some(arg) = args.next() {
        if of_library && is_shared_library(arg) {
            plan.args.push(arg.clone());
        } else if is_input(arg) {
            object_at.get_or_insert(plan.args.len());
        } else if let Some(list) = arg.strip_prefix("-Wl,") {
            let kept = keep_linker_options(list, &mut shared);
            if !kept.is_empty() {
                plan.args.push(format!("-Wl,{}", kept.join(",")));
            }
        } else if arg == "-Xlinker" {
            let Some(option) = args.next() else { break };
            if !keep_linker_options(option, &mut shared).is_empty() {
                plan.args.extend([arg.clone(), option.clone()]);
            }
        } else if DROPPED_WITH_VALUE.contains(&arg.as_str()) {
            args.next();
        } else if arg == "-L" {
            let Some(folder) = args.next() else { break };
            plan.search.push(folder.into());
            plan.args.extend([arg.clone(), folder.clone()]);
        } else if arg == "-z" {
            let Some(option) = args.next() else { break };
            if !is_dropped_keyword(option) {
                plan.args.extend([arg.clone(), option.clone()]);
            }
        } else if !is_dropped(arg, &mut shared) {
            keep(&mut plan, arg, shared);
        }
    }
    add_own(&mut plan, object_at, (object, output), how);
    plan
}

fn keep(plan: &mut LinkPlan, arg: &str, shared: bool) {
    if let Some(name) = arg.strip_prefix("-l") {
        if !shared {
            // The program has this library's code already; linking it again would bring a
            // second copy of its statics.
            return;
        }
        plan.shared.push(name.to_owned());
    } else if let Some(folder) = arg.strip_prefix("-L") {
        plan.search.push(folder.into());
    }
    plan.args.push(arg.to_owned());
}

fn add_own(
    plan: &mut LinkPlan,
    object_at: Option<usize>,
    (object, output): (&Path, &Path),
    How { dialect, direct, open }: How,
) {
    let option = |o: &str| if direct { o.to_owned() } else { format!("-Wl,{o}") };
    plan.args.insert(object_at.unwrap_or(0).min(plan.args.len()), text(object));
    match dialect {
        Dialect::Gnu => {
            plan.args.push("-shared".into());
            if !direct {
                plan.args.push("-nostartfiles".into());
            }
            plan.args.extend(open.flags(direct));
            plan.args.push(option("--eh-frame-hdr"));
        }
        Dialect::Apple => {
            plan.args.push(if direct { "-dylib" } else { "-dynamiclib" }.into());
            plan.args.extend(open.flags(direct));
            match direct {
                true => plan.args.extend(["-exported_symbol".to_owned(), EXPORTED.to_owned()]),
                false => plan.args.push(format!("-Wl,-exported_symbol,{EXPORTED}")),
            }
            plan.args.push(option("-adhoc_codesign"));
        }
    }
    plan.args.extend(["-o".into(), text(output)]);
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_input(arg: &str) -> bool {
    let known = [".o", ".rlib", ".a", ".obj", ".lib", ".dylib"];
    is_shared_library(arg) || !arg.starts_with('-') && known.iter().any(|e| arg.ends_with(e))
}

fn is_shared_library(arg: &str) -> bool {
    let name = arg.rsplit('/').next().unwrap_or(arg);
    !arg.starts_with('-') && (arg.ends_with(".so") || name.contains(".so."))
}

/// Whether a value of `-z` is about symbols that are found nowhere, or says that all code has landing
/// pads: a patch has code of its own without, and code that was compiled without.
fn is_dropped_keyword(value: &str) -> bool {
    matches!(value, "defs" | "undefs" | "force-bti")
}

/// The part of a `-Wl,a,b,c` list that is kept.
fn keep_linker_options(list: &str, shared: &mut bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut options = list.split(',');
    while let Some(option) = options.next() {
        if DROPPED_WITH_VALUE.contains(&option) {
            options.next();
        } else if option == "-z" {
            match options.next() {
                None => {}
                Some(value) if is_dropped_keyword(value) => {}
                Some(value) => kept.extend(["-z".to_owned(), value.to_owned()]),
            }
        } else if !is_input(option) && !is_dropped(option, shared) {
            kept.push(option.to_owned());
        }
    }
    kept
}

fn is_dropped(arg: &str, shared: &mut bool) -> bool {
    match arg {
        "-Bstatic" => *shared = false,
        "-Bdynamic" => *shared = true,
        _ => return DROPPED.contains(&arg) || DROPPED_PREFIXES.iter().any(|p| arg.starts_with(p)),
    }
    // A static library is dropped with its switch; the others need no switch.
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(args: &str) -> String {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let open = LeaveOpen::first(Dialect::Gnu);
        let how = How { dialect: Dialect::Gnu, direct: false, open };
        plan(&args, Path::new("p.o"), Path::new("p.so"), how).args.join(" ")
    }

    const OWN: &str =
        "-shared -nostartfiles -Wl,--unresolved-symbols=ignore-all -Wl,--eh-frame-hdr -o p.so";

    #[test]
    fn captured_arguments_become_a_patch_link() {
        let cases = [
            ("", "p.o"),
            ("-m64 a.o b.rcgu.o -o out", "-m64 p.o"),
            (
                "-Wl,--as-needed -Wl,-Bstatic x.rlib -lz -Wl,-Bdynamic -lc",
                "-Wl,--as-needed p.o -lc",
            ),
            (
                "a.o -pie -Wl,-z,relro,-z,now -nodefaultlibs",
                "p.o -Wl,-z,relro,-z,now -nodefaultlibs",
            ),
            ("a.o -Wl,--gc-sections,-z,defs,--as-needed", "p.o -Wl,--as-needed"),
            ("a.o -Wl,-z,force-bti -z force-bti -z now", "p.o -z now"),
            ("a.o -Wl,--version-script=/x -Wl,--no-undefined-version", "p.o"),
            ("a.o -Wl,-e,start -Wl,--build-id -s -rdynamic", "p.o"),
            ("a.o /x/libfoo.so libbar.so.1 -Xlinker --gc-sections", "p.o"),
            ("-shared a.o /x/libfoo.so libbar.so.1", "p.o /x/libfoo.so libbar.so.1"),
            ("a.o -fuse-ld=lld -B/x -L /lib", "p.o -fuse-ld=lld -B/x -L /lib"),
            ("a.o -Wl,--unresolved-symbols=report-all -lgcc_s", "p.o -lgcc_s"),
        ];
        for (given, expected) in cases {
            assert_eq!(planned(given), format!("{expected} {OWN}"), "from {given}");
        }
    }

    #[test]
    fn a_patch_for_apple_is_linked_with_the_program_s_kit_and_names() {
        let args = "a.o b.rlib -lSystem -arch arm64 -isysroot /sdk -framework Foundation -o app \
                    -Wl,-dead_strip -Wl,-exported_symbols_list,/x -nodefaultlibs";
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let own = |direct| {
            let open = LeaveOpen::first(Dialect::Apple);
            let how = How { dialect: Dialect::Apple, direct, open };
            let once = plan(&args, Path::new("p.o"), Path::new("p.dylib"), how).args;
            let twice = plan(&once, Path::new("p.o"), Path::new("p.dylib"), how).args;
            assert_eq!(once, twice);
            once.join(" ")
        };
        let kept = "p.o -lSystem -arch arm64 -isysroot /sdk -framework Foundation -nodefaultlibs";
        let symbol = EXPORTED;
        assert_eq!(
            own(false),
            format!(
                "{kept} -dynamiclib -Wl,-undefined,dynamic_lookup -Wl,-exported_symbol,{symbol} \
                 -Wl,-adhoc_codesign -o p.dylib"
            )
        );
        assert_eq!(
            own(true),
            format!(
                "{kept} -dylib -undefined dynamic_lookup -exported_symbol {symbol} \
                 -adhoc_codesign -o p.dylib"
            )
        );
    }

    #[test]
    fn planning_a_planned_link_changes_nothing() {
        let once = planned("-m64 a.o -Wl,--as-needed -lc -pie -o out");
        assert_eq!(planned(&once), once);
    }

    #[test]
    fn each_way_to_leave_symbols_open_replaces_the_others() {
        let args =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let given = args("a.o -Wl,-z,defs,--no-allow-shlib-undefined,--error-unresolved-symbols");
        for direct in [false, true] {
            let plan = |args: &[String], open| {
                let how = How { dialect: Dialect::Gnu, direct, open };
                super::plan(args, Path::new("p.o"), Path::new("p.so"), how).args
            };
            for open in LeaveOpen::all(Dialect::Gnu) {
                let once = plan(&given, *open);
                let is_about = |a: &&String| a.contains("und") || a.contains("unr");
                assert_eq!(
                    once.iter().filter(is_about).count(),
                    usize::from(!open.flags(direct).is_empty()),
                    "{once:?}"
                );
                for other in LeaveOpen::all(Dialect::Gnu) {
                    assert_eq!(plan(&plan(&given, *other), *open), once, "{other} then {open}");
                }
            }
        }
    }
}
