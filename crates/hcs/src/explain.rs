//! The time line and the result of an operation.

use hcs_wire::explain::OperationReport;

use crate::{
    Operation,
    operation::{read, refused},
    raw,
};

/// The time line of an operation of any client, and why it failed: named as errors, logs and
/// [`raw::Operation::correlation_id`] name it, or by the bare number of `HcsGetOperationId`.
///
/// The service remembers its last thousand or so, failed ones longer and through its own restart.
///
/// ```
/// use hcs::{ComputeSystem, explain};
///
/// # fn main() -> Result<(), hcs::Failure> {
/// let opening = ComputeSystem::open("no such system");
/// let failure = opening.wait().unwrap_err();
/// let report = explain(failure.operation.as_deref().unwrap_or_default()).wait()?;
/// assert_eq!(report.call, "OpenSystem");
/// for step in &report.steps {
///     println!("{:>9} us  {}", step.after_microseconds, step.step);
/// }
/// # Ok(())
/// # }
/// ```
pub fn explain(operation: &str) -> Operation<OperationReport> {
    let start = |tracker: &raw::Operation| raw::explain(operation, tracker).map_err(refused);
    Operation::new(start, |(), _, document| {
        read("report of an operation", document.as_deref())
    })
}
