//! Fresh random numbers and the host's time, before the first process and after each pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hcs_schema::Failure;
use hcs_wire::guest::Renewal;
use rustix::time::{ClockId, Timespec, clock_settime};

use hcs_wire::errno;

use crate::sys::random;

/// A clock that is off by less is left alone: setting it disturbs programs, and the message took its time.
const TOLERANCE: Duration = Duration::from_millis(50);

/// Does what `renewal` says.
///
/// # Errors
/// It is not well formed, or the kernel refused. A machine whose random numbers may be those of another must not go on
/// as if they were its own.
pub(super) fn apply(renewal: &Renewal) -> Result<(), Failure> {
    if let Some(bytes) = renewal.entropy()? {
        random::mix(bytes)
            .map_err(|errno| errno::failed("the random numbers cannot be renewed", errno))?;
    }
    let Some(time) = renewal.host_time() else {
        return Ok(());
    };
    let own = SystemTime::now().duration_since(UNIX_EPOCH);
    if own.unwrap_or_default().abs_diff(time) < TOLERANCE {
        return Ok(());
    }
    let time = Timespec::try_from(time).unwrap_or_default();
    clock_settime(ClockId::Realtime, time)
        .map_err(|errno| errno::failed("the clock cannot be set", errno))
}
