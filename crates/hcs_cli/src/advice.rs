//! What a person can do about a container that could not be made, in the words of the options.

use hcs_schema::Cause;

use crate::failure::Stop;

/// The failure to make a container, its causes in the words of the person who asked for it.
pub(crate) fn of_making(mut stop: Stop) -> Stop {
    for cause in &mut stop.failure.causes {
        if let Some(advice) = advice(cause) {
            cause.message = advice;
        }
    }
    stop
}

/// The same for a document that this program made: what is no property there is one that the service does not know yet.
pub(crate) fn of_own_document(stop: Stop) -> Stop {
    let mut stop = of_making(stop);
    if stop.failure.message.contains("is not a property of") {
        let cause = "the service that runs is of an earlier version than this program: `hcs service stop` ends it, containers \
                     go on, and the next call starts the service of this version";
        stop.failure = stop.failure.cause(cause);
    }
    stop
}

/// What is to be said in the place of a cause.
fn advice(cause: &Cause) -> Option<String> {
    let pointer = cause.pointer.as_deref()?;
    let says = |words: &str| cause.message.contains(words);
    match pointer {
        "/Container/Storage/Path" if says("Device or resource busy") => {
            let path = between(&cause.message, " /", ": Device").map(|path| format!("/{path}"));
            let path = path.unwrap_or_else(|| "the directory".to_owned());
            Some(format!(
                "{path} is the scratch of another container, and can be that of one at a time: `hcs list` shows what \
                 runs, `hcs terminate ID` ends it; or name another directory"
            ))
        }
        "/Container/Networking/Namespace" if says("No such file or directory") => {
            let name = between(&cause.message, "/run/netns/", ": No such")?;
            Some(format!(
                "there is none of that name: `ip netns list` shows those there are, `ip netns add {name} && ip -n {name} link set lo up` makes one"
            ))
        }
        _ => None,
    }
}

/// What stands in `text` between `left` and `right`.
fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(left)?;
    let (between, _) = rest.rsplit_once(right)?;
    Some(between)
}

#[cfg(test)]
mod tests {
    use hcs_schema::{Failure, HResult};

    use super::*;

    fn told(pointer: &str, message: &'static str) -> String {
        let failure = Failure::new(HResult::E_FAIL, "it could not be made");
        let stop = of_making(failure.cause_at(pointer, message).into());
        stop.failure.causes[0].message.clone()
    }

    #[test]
    fn a_property_of_ours_that_is_not_known_is_of_a_later_version() {
        let refused = |message: &'static str| {
            let failure = Failure::new(HResult::HCS_E_INVALID_JSON, message);
            let causes = of_own_document(failure.into()).failure.causes;
            causes.first().map(|cause| cause.message.clone())
        };
        let unknown = "the document is invalid: /Container/X: \"X\" is not a property of Container";
        assert!(refused(unknown).unwrap().contains("`hcs service stop`"));
        assert_eq!(
            refused("the document is invalid: /Container/X: expected a number"),
            None
        );
    }

    #[test]
    fn a_cause_with_a_way_out_is_told_with_it() {
        let busy = "taking, while no other container has it, /a b/s: Device or resource busy (os error 16)";
        let said = told("/Container/Storage/Path", busy);
        assert!(
            said.starts_with("/a b/s is the scratch of another "),
            "{said}"
        );
        let missing =
            "opening the network namespace /run/netns/x: No such file or directory (os error 2)";
        let said = told("/Container/Networking/Namespace", missing);
        assert!(
            said.ends_with("`ip netns add x && ip -n x link set lo up` makes one"),
            "{said}"
        );
        assert_eq!(told("/Container/Storage", busy), busy);
        assert_eq!(told("/Container/Storage/Path", missing), missing);
    }
}
