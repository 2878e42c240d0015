//! Whether a program that says hello is one that the patches were made for.

use hotpatch_protocol::PROTOCOL_VERSION;
use hotpatch_protocol::manifest::Canary;
use hotpatch_protocol::message::{ClientMessage, Hello};

use super::{Expected, Token};

/// Why a program is turned away. It never helps to dial again with the same hello.
pub(super) type Reason = String;

/// Reads the first message of a connection.
///
/// The token and the protocol version are looked for first, without the rest of the hello: a
/// runtime of another version may say other things, and deserves to be told so.
pub(super) fn read_hello(text: &str, token: &Token) -> Result<Hello, Reason> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "the first message is no hello".to_string())?;
    if !json["token"].as_str().is_some_and(|offered| token.admits(offered)) {
        return Err("the token is wrong".into());
    }
    match json["protocol"].as_u64() {
        Some(version) if version == u64::from(PROTOCOL_VERSION) => {}
        Some(version) => {
            let runtime = json["runtime"].as_str().unwrap_or("unknown");
            return Err(format!(
                "the program's runtime ({runtime}) speaks protocol {version}, this \
                 cargo-hotpatch speaks {PROTOCOL_VERSION}; use the same version of both"
            ));
        }
        None => return Err("the first message is no hello".into()),
    }
    match serde_json::from_value(json) {
        Ok(ClientMessage::Hello(hello)) => Ok(hello),
        Ok(_) => Err("the first message is no hello".into()),
        Err(error) => Err(format!("the hello cannot be read: {error}")),
    }
}

/// Whether the program is the one that the fat build made, by the same toolchain.
pub(super) fn check_build(hello: &Hello, expected: &Expected) -> Result<(), Reason> {
    if hello.build_id != expected.build_id {
        let (theirs, ours) = (short(&hello.build_id), short(&expected.build_id));
        return Err(format!("the program runs another build ({theirs}, not {ours}); restart it"));
    }
    check_canary(&hello.canary, &expected.canary)
}

fn check_canary(theirs: &Canary, ours: &Canary) -> Result<(), Reason> {
    let differs = |what: &str, theirs: &str, ours: &str| {
        Err(format!("the program's {what} is {theirs}, the patches' is {ours}; build it again"))
    };
    if theirs.rustc != ours.rustc {
        return differs("compiler (rustc commit)", short(&theirs.rustc), short(&ours.rustc));
    }
    if theirs.target != ours.target {
        return differs("target", &theirs.target, &ours.target);
    }
    if theirs.pointer_width != ours.pointer_width {
        let widths = (theirs.pointer_width.to_string(), ours.pointer_width.to_string());
        return differs("pointer width", &widths.0, &widths.1);
    }
    if theirs.panic != ours.panic {
        return differs("panic strategy", &theirs.panic, &ours.panic);
    }
    Ok(())
}

/// How many patches of the chain the program runs: what it says must be how the chain starts.
/// `sent` is how many of them ever went to this process. A program that ran under an earlier
/// session has patches with the same numbers and other content.
pub(super) fn check_applied(applied: &[u32], chain: &[u32], sent: usize) -> Result<usize, Reason> {
    if chain.starts_with(applied) && applied.len() <= sent {
        return Ok(applied.len());
    }
    let list = applied.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    Err(format!("the program runs patches of another session ({list}); restart it"))
}

/// Enough of a hash to tell two apart.
fn short(hash: &str) -> &str {
    match hash.char_indices().nth(12) {
        Some((end, _)) => &hash[..end],
        None if hash.is_empty() => "unknown",
        None => hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> Canary {
        Canary {
            rustc: "59807616e0f2".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            pointer_width: 64,
            panic: "unwind".into(),
        }
    }

    fn expected() -> Expected {
        Expected { build_id: "aa".into(), canary: canary(), live: "live".into() }
    }

    fn hello() -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            runtime: "0.1.0".into(),
            token: "t".into(),
            pid: 1,
            build_id: "aa".into(),
            load_address: 0,
            canary: canary(),
            applied: vec![],
        }
    }

    fn read(hello: &Hello) -> Result<Hello, Reason> {
        let text = serde_json::to_string(&ClientMessage::Hello(hello.clone())).unwrap();
        read_hello(&text, &Token::given("t"))
    }

    #[test]
    fn the_right_hello_is_read_and_checked() {
        assert_eq!(read(&hello()), Ok(hello()));
        assert_eq!(check_build(&hello(), &expected()), Ok(()));
    }

    #[test]
    fn a_wrong_token_is_all_that_is_said_about() {
        let wrong = Hello { token: "x".into(), protocol: 99, ..hello() };
        assert_eq!(read(&wrong), Err("the token is wrong".into()));
    }

    #[test]
    fn a_runtime_of_another_protocol_is_told_both_versions() {
        let text = r#"{"type":"hello","token":"t","protocol":99,"runtime":"9.1.0"}"#;
        let reason = read_hello(text, &Token::given("t")).unwrap_err();
        assert!(reason.contains("protocol 99") && reason.contains("9.1.0"), "{reason}");
    }

    #[test]
    fn what_is_no_hello_is_turned_away() {
        for text in ["", "{}", "[]", "null", r#"{"token":"t"}"#, r#"{"token":"t","protocol":1}"#] {
            assert!(read_hello(text, &Token::given("t")).is_err(), "{text}");
        }
    }

    #[test]
    fn each_difference_is_named() {
        let with = |change: &dyn Fn(&mut Hello)| {
            let mut hello = hello();
            change(&mut hello);
            check_build(&hello, &expected()).unwrap_err()
        };
        assert!(with(&|h| h.build_id = "bb".into()).contains("another build (bb, not aa)"));
        assert!(with(&|h| h.canary.rustc = "0".into()).contains("rustc commit) is 0"));
        assert!(with(&|h| h.canary.rustc = String::new()).contains("unknown"));
        assert!(with(&|h| h.canary.target = "x".into()).contains("target is x"));
        assert!(with(&|h| h.canary.pointer_width = 32).contains("width is 32"));
        assert!(with(&|h| h.canary.panic = "abort".into()).contains("strategy is abort"));
    }

    #[test]
    fn applied_patches_must_be_how_the_chain_starts() {
        assert_eq!(check_applied(&[], &[1, 2], 0), Ok(0));
        assert_eq!(check_applied(&[1], &[1, 2], 2), Ok(1));
        assert_eq!(check_applied(&[1, 2], &[1, 2], 2), Ok(2));
        for applied in [&[2][..], &[1, 3], &[1, 2, 3], &[2, 1]] {
            assert!(check_applied(applied, &[1, 2], 2).unwrap_err().contains("another session"));
        }
    }

    #[test]
    fn patches_that_this_session_never_sent_are_not_its_own() {
        assert!(check_applied(&[1], &[1], 0).is_err());
    }
}
