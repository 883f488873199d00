//! What the program says when it fails, and with which code it then exits.
//!
//! | code | meaning |
//! |---|---|
//! | the process's | `run`, `exec` and `wait ID PID`: the process ran; 128 + N when signal N killed it |
//! | 124 | the time given by `--timeout` was over: the message says of what |
//! | 125 | hcs itself failed: the message says why |
//! | 126 | the command was found and cannot be run |
//! | 127 | the command was not found |

use hcs_schema::{Cause, Failure, HResult, win32};

use crate::output::printable;

/// The time given by `--timeout` was over.
pub(crate) const LATE: u8 = 124;
/// hcs itself failed.
pub(crate) const FAILED: u8 = 125;
/// The command cannot be run.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The command was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// Why the program ends, and its exit code.
#[derive(Debug)]
pub(crate) struct Stop {
    /// The exit code.
    pub code: u8,
    /// The reason.
    pub failure: Failure,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self {
            code: FAILED,
            failure,
        }
    }
}

impl Stop {
    /// For a call that the service does not remember, so that it cannot explain it.
    pub(crate) fn unexplained(mut self) -> Self {
        self.failure.operation = None;
        self
    }

    /// For a process that could not be created.
    pub(crate) fn of_command(failure: Failure) -> Self {
        let of = HResult::from_win32;
        let code = match failure.hresult {
            HResult::FILE_NOT_FOUND => NOT_FOUND,
            HResult::E_ACCESSDENIED => CANNOT_RUN,
            code if code == of(win32::ERROR_BAD_EXE_FORMAT) => CANNOT_RUN,
            _ => FAILED,
        };
        Self { code, failure }
    }
}

/// The failure as lines of text: the message with the name of its code, then the causes, nothing twice. Control
/// characters are shown escaped: what a container says must not drive the terminal.
pub(crate) fn text(failure: &Failure) -> String {
    let mut text = format!("hcs: {}", printable(&wordy(&failure.message)));
    if let Some(name) = failure.hresult.name() {
        text.push_str(&format!(" [{name}]"));
    }
    text.push('\n');
    for cause in &failure.causes {
        if let Some(more) = beyond(&failure.message, cause) {
            text.push_str(&format!("  {}\n", printable(&wordy(&more))));
        }
    }
    if let Some(operation) = &failure.operation {
        text.push_str(&format!("  its steps: hcs explain {operation}\n"));
    }
    text
}

/// The text without the numbers that Rust puts behind the words of an error of the system.
fn wordy(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(NUMBER) {
        words.push_str(before);
        match behind.split_once(')') {
            Some((number, more)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest = more,
            _ => {
                words.push_str(NUMBER);
                rest = behind;
            }
        }
    }
    words.push_str(rest);
    words
}

/// What a cause says that the message has not said.
fn beyond(message: &str, cause: &Cause) -> Option<String> {
    if cause.message.is_empty() || !message.contains(&cause.message) {
        return Some(sentence(cause));
    }
    let new = |fact: &&String| !fact.is_empty() && !message.contains(fact.as_str());
    let pointer = cause.pointer.iter().filter(new);
    let pointer = pointer.map(|pointer| format!("at {pointer}"));
    let facts: Vec<String> = pointer
        .chain(cause.data.iter().filter(new).cloned())
        .collect();
    (!facts.is_empty()).then(|| facts.join("; "))
}

/// One cause in one line: pointer, message, further facts; nothing twice.
pub(crate) fn sentence(cause: &Cause) -> String {
    let mut line = String::new();
    if let Some(pointer) = cause
        .pointer
        .as_deref()
        .filter(|pointer| !pointer.is_empty())
        && !cause.message.contains(pointer)
    {
        line = format!("{pointer}: ");
    }
    line.push_str(&cause.message);
    for fact in cause
        .data
        .iter()
        .filter(|fact| !cause.message.contains(fact.as_str()))
    {
        line.push_str("; ");
        line.push_str(fact);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_words_with_its_causes() {
        let mut failure = Failure::new(HResult::HCS_E_INVALID_JSON, "the document is invalid")
            .cause_at("/a/b", "12 is no name")
            .cause_at("/a/c", "/a/c (line 1, column 2): unknown");
        failure.causes[1].data = vec!["line 1, column 2".to_owned(), "expected \"d\"".to_owned()];
        let expected = "hcs: the document is invalid [HCS_E_INVALID_JSON]\n  /a/b: 12 is no name\n  \
                        /a/c (line 1, column 2): unknown; expected \"d\"\n";
        assert_eq!(text(&failure), expected);
    }

    #[test]
    fn errors_of_the_system_are_words() {
        let error = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new(HResult(-5), "x cannot be read").because(&error);
        assert_eq!(
            text(&failure),
            "hcs: x cannot be read\n  No such file or directory\n"
        );
        assert_eq!(wordy("a (os error 13); b (os error 2)!"), "a; b!");
        assert_eq!(
            wordy("a (os error x) (os error 5"),
            "a (os error x) (os error 5"
        );
    }

    #[test]
    fn the_operation_is_named_last() {
        let mut failure = Failure::new(HResult::E_FAIL, "it broke").cause("a wheel came off");
        failure.operation = Some("4711-17".to_owned());
        let expected =
            "hcs: it broke [E_FAIL]\n  a wheel came off\n  its steps: hcs explain 4711-17\n";
        assert_eq!(text(&failure), expected);
        let stop = Stop::from(failure).unexplained();
        assert!(!text(&stop.failure).contains("explain"));
    }

    #[test]
    fn what_the_message_says_is_not_said_again() {
        let message = "the host name \"a b\" is wrong";
        let mut failure = Failure::new(HResult::E_INVALIDARG, message)
            .cause_at("/Container/GuestOs/HostName", message)
            .cause(message);
        failure.causes[0].data = vec!["line 1".to_owned()];
        let expected =
            format!("hcs: {message} [E_INVALIDARG]\n  at /Container/GuestOs/HostName; line 1\n");
        assert_eq!(text(&failure), expected);
    }

    #[test]
    fn what_a_container_says_cannot_drive_the_terminal() {
        let failure = Failure::new(HResult::E_FAIL, "a\u{1b}[2J").cause("b\nc");
        assert_eq!(text(&failure), "hcs: a\\u{1b}[2J [E_FAIL]\n  b\\nc\n");
    }

    #[test]
    fn codes_without_a_name_are_left_out() {
        assert_eq!(text(&Failure::new(HResult(-5), "why")), "hcs: why\n");
    }

    #[test]
    fn a_command_that_is_not_there_has_the_codes_of_a_shell() {
        let code = |hresult| Stop::of_command(Failure::new(hresult, "x")).code;
        assert_eq!(code(HResult::FILE_NOT_FOUND), 127);
        assert_eq!(code(HResult::E_ACCESSDENIED), 126);
        assert_eq!(code(HResult::HCS_E_INVALID_STATE), 125);
    }
}
