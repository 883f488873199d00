//! Lines that people type who know other tools: they work, or the answer says what to type.

use crate::common::{ended, hcs, script, unique, words};

#[test]
fn a_verb_of_another_tool_is_answered() {
    for (line, tip) in [
        ("kill box", "`hcs terminate box`"),
        ("copy box:/a b", "`hcs cp box:/etc/hosts .`"),
        ("images", "`hcs image list`"),
        ("help stop", "`hcs shutdown box`"),
    ] {
        let said = words(line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains(tip), "{said:?}");
    }
}

#[test]
fn an_option_of_another_tool_is_answered() {
    for (line, tip) in [
        ("run --expose 80 -- true", "`-p 8080:80`"),
        ("run --net host -- true", "`--network none`"),
        ("run -v /a:/b true", "`--mount ./data:/data`"),
        ("exec --privileged box true", "`--cap-add ALL`"),
        ("terminate -f box", "in any state"),
    ] {
        let said = words(line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains(tip), "{said:?}");
    }
}

#[test]
fn words_that_mean_the_same_are_taken() {
    let id = unique("words");
    let out = script(&["--rm", "--name", &id], "hostname").fine();
    assert_ne!(out, "");
    assert_eq!(words("run --rm --keep -- true").code, Some(125));
    words(&format!("create --name {id}")).fine();
    words(&format!("start {id}")).fine();
    words(&format!("pause {id}")).fine();
    words(&format!("unpause {id}")).fine();
    assert!(words(&format!("top {id}")).fine().starts_with("PID"));
    words(&format!("terminate {id}")).fine();
    assert!(words("info").fine().starts_with("version "));
}

#[test]
fn help_and_version_are_verbs_too() {
    assert_eq!(words("help").fine(), words("--help").fine());
    assert_eq!(words("help exec").fine(), words("exec --help").fine());
    assert_eq!(words("version").fine(), words("--version").fine());
    let version: serde_json::Value = serde_json::from_str(&words("version --json").fine()).unwrap();
    assert_eq!(version["Version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(words("help no-such-verb").code, Some(125));
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let said = ended(&mut hcs(["run", "alpine:3.20", "true"]));
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(
        said.err.contains("there is no image \"alpine:3.20\""),
        "{said:?}"
    );
    assert!(said.err.contains("`hcs image load FILE`"), "{said:?}");
    let said = ended(&mut hcs(["run", "--", "alpine:3.20", "true"]));
    assert_eq!(said.code, Some(127), "{said:?}");
    assert!(said.err.contains("hcs run IMAGE CMD"), "{said:?}");
}
