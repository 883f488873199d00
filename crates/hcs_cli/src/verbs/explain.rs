//! `hcs explain`: what became of an operation.

use clap::Args;
use hcs::{Failure, HResult, OperationReport, explain};

use crate::{
    failure::{self, Stop},
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, printable},
};

/// Show the time line of an operation, and why it failed
///
/// Errors, the service's log and `hcs events` name operations as PID-NUMBER; the number alone, as HcsGetOperationId
/// gives it, will do where no other client has the same. The service remembers its last thousand or so until it leaves,
/// some seconds after its last client; those that failed are kept longer, in the event log.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs explain 4711-17
  hcs explain 4711-17 --json")]
pub(crate) struct Explain {
    /// The operation
    #[arg(value_name = "ID")]
    operation: String,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Explain {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("explain");
        let report = clock.on(explain(&self.operation)).wait();
        let report = report.map_err(|failure| clock.stop("", failure).unexplained())?;
        match self.format.chosen() {
            Format::Json => print_json(&report)?,
            Format::Table => print(&text(&report))?,
        }
        Ok(0)
    }
}

fn text(report: &OperationReport) -> String {
    let mut text = format!(
        "{} {}{}, received {} from user {}\n",
        printable(&report.operation),
        printable(&report.call),
        report
            .system
            .as_deref()
            .map(|system| format!(" on {}", printable(system)))
            .unwrap_or_default(),
        printable(&report.received),
        report.user_id
    );
    for step in &report.steps {
        let time = seconds(step.after_microseconds);
        text.push_str(&format!("{time:>13} s  {}\n", printable(&step.step)));
    }
    if !report.done {
        text.push_str("it is still pending\n");
    }
    match &report.error {
        Some(error) => {
            let failure = Failure::from_document(HResult::E_FAIL, &error.to_string());
            let result = report.result.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "it failed with {}: {}\n",
                printable(result),
                printable(&failure.message)
            ));
            for cause in &failure.causes {
                text.push_str(&format!("  {}\n", printable(&failure::sentence(cause))));
            }
            for step in failure
                .attribution
                .iter()
                .filter_map(|a| a["OperationFailure"]["Detail"].as_str())
            {
                text.push_str(&format!("  at the step {}\n", printable(step)));
            }
        }
        None if report.done => text.push_str("it succeeded\n"),
        None => {}
    }
    text
}

fn seconds(microseconds: i64) -> String {
    let (sign, amount) = (
        if microseconds < 0 { "-" } else { "" },
        microseconds.unsigned_abs(),
    );
    format!("{sign}{}.{:06}", amount / 1_000_000, amount % 1_000_000)
}

#[cfg(test)]
mod tests {
    use hcs::OperationStep;

    use super::*;

    #[test]
    fn a_time_line_says_what_took_how_long_and_what_failed() {
        let failure = Failure::new(HResult::E_FAIL, "it broke")
            .cause("a wheel came off")
            .while_doing("Start");
        let report = OperationReport {
            operation: "4711-17".to_owned(),
            call: "StartSystem".to_owned(),
            system: Some("box".to_owned()),
            received: "2024-02-29T12:30:00.5000000Z".to_owned(),
            done: true,
            steps: vec![OperationStep {
                after_microseconds: 1_000_002,
                step: "begun".to_owned(),
            }],
            result: Some("E_FAIL (0x80004005)".to_owned()),
            error: serde_json::from_str(&failure.to_document()).ok(),
            ..OperationReport::default()
        };
        let expected = "4711-17 StartSystem on box, received 2024-02-29T12:30:00.5000000Z from user 0\n     \
                        1.000002 s  begun\nit failed with E_FAIL (0x80004005): it broke\n  a wheel came off\n  \
                        at the step Start\n";
        assert_eq!(text(&report), expected);
        assert_eq!(seconds(-3_195), "-0.003195");
        let pending = OperationReport::default();
        assert!(text(&pending).ends_with("it is still pending\n"));
    }
}
