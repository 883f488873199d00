//! The container's host name.

use hcs_schema::{Failure, HResult, rules::names::means_itself};

use crate::failure::StepError;

/// JSON pointer of the property.
const POINTER: &str = "/Container/GuestOs/HostName";

/// The name to give: what the document says, else the first 12 hexadecimal digits of the runtime id.
///
/// # Errors
/// The name is empty, too long, holds something else than letters, digits, `-`, `_` and `.`, or is one of those that
/// mean the machine itself.
pub(crate) fn check(asked: Option<&str>, runtime_id: &str) -> Result<String, Failure> {
    let Some(name) = asked else {
        let digits = runtime_id.chars().filter(char::is_ascii_hexdigit);
        return Ok(digits.take(12).collect());
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        let message = format!(
            "the host name {name:?} is not 1 to 64 letters, digits, hyphens, underscores and dots"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(POINTER, message));
    }
    // Others in its networks would never find it by that.
    if means_itself(name) {
        let message = format!(
            "the host name {name:?} means the machine itself wherever names are looked up, and no single container: choose \
             another one"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(POINTER, message));
    }
    Ok(name.to_owned())
}

/// Names the calling process's UTS namespace.
pub(crate) fn apply(name: &str) -> Result<(), StepError> {
    rustix::system::sethostname(name.as_bytes()).map_err(|errno| {
        StepError::new("setting the host name", errno)
            .at(name)
            .asked_by(POINTER)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_from_the_runtime_id() {
        let name = check(None, "3f2504e0-4f89-11d3-9a0c-0305e82c3301").unwrap();
        assert_eq!(name, "3f2504e04f89");
    }

    #[test]
    fn names_that_the_kernel_or_the_resolver_would_choke_on_are_refused() {
        for name in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            let failure = check(Some(name), "").unwrap_err();
            assert_eq!(
                failure.causes[0].pointer.as_deref(),
                Some(POINTER),
                "{name:?}"
            );
        }
        assert_eq!(check(Some("web-1.local"), "").unwrap(), "web-1.local");
    }

    #[test]
    fn names_that_mean_the_machine_itself_are_refused() {
        for name in [
            "localhost",
            "LOCALHOST",
            "localhost.localdomain",
            "x.localhost",
        ] {
            let failure = check(Some(name), "").unwrap_err();
            assert_eq!(
                failure.causes[0].pointer.as_deref(),
                Some(POINTER),
                "{name}"
            );
            assert!(
                failure.message.contains("means the machine itself"),
                "{failure}"
            );
        }
        assert_eq!(check(Some("localhosts"), "").unwrap(), "localhosts");
    }
}
