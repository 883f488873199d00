//! What a document's limits are in the terms of the kernel. No I/O.

use hcs_schema::{
    Failure, HResult,
    documents::{ContainerMemory, ContainerProcessor},
};

/// Length of one period of the processor limit, in microseconds.
const PERIOD: u64 = 100_000;
/// The least the kernel takes as a limit per period, in microseconds.
const LEAST_QUOTA: u64 = 1_000;
/// Parts of the machine that `Maximum` counts in.
const WHOLE_MACHINE: u64 = 10_000;

/// JSON pointer of the memory limit.
pub(crate) const MEMORY: &str = "/Container/Memory/SizeInMB";
/// JSON pointer of the limit of processes.
pub(crate) const PROCESSES: &str = "/Container/ProcessLimit";
/// JSON pointer of the processor's limits: `/Container/Processor/Count`, `/Container/Processor/Maximum` and
/// `/Container/Processor/Weight`.
pub(crate) const PROCESSOR: &str = "/Container/Processor";

/// Limit of processor time: `quota` microseconds in each `period` microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuQuota {
    pub(crate) quota: u64,
    pub(crate) period: u64,
}

/// Limits of a container's processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuLimits {
    /// A hard limit.
    pub(crate) quota: Option<CpuQuota>,
    /// Weight against others, 1 to 10000; 100 is usual (`cpu.weight` of cgroup version 2).
    pub(crate) weight: Option<u64>,
}

impl CpuLimits {
    /// The same weight as `cpu.shares` of version 1, where 1024 is usual.
    pub(crate) fn shares(self) -> Option<u64> {
        self.weight
            .map(|weight| (weight * 1024 / 100).clamp(2, 262_144))
    }
}

/// The memory limit in bytes; `None` for none. 0 means none, as HCS reads an absent number.
///
/// # Errors
/// More than the kernel can count.
pub(crate) fn memory(asked: Option<&ContainerMemory>) -> Result<Option<u64>, Failure> {
    let Some(megabytes) = asked
        .and_then(|memory| memory.size_in_mb)
        .filter(|size| *size > 0)
    else {
        return Ok(None);
    };
    let bytes = megabytes
        .checked_mul(1 << 20)
        .filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes.map(Some).ok_or_else(|| {
        let message = format!("{megabytes} MB is more than a memory limit can be");
        Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(MEMORY, message)
    })
}

/// The processor limits on a machine with `processors` of them. An absent number is no limit.
///
/// A document has at most one of the three, which `hcs_schema` checks; this checks again what cannot be both.
///
/// # Errors
/// A value out of range, or two that exclude each other.
pub(crate) fn processor(
    asked: Option<&ContainerProcessor>,
    processors: u64,
) -> Result<CpuLimits, Failure> {
    let Some(asked) = asked else {
        return Ok(CpuLimits::default());
    };
    let count = u64::from(asked.count.unwrap_or_default());
    let maximum = ranged(asked.maximum, "Maximum")?;
    // The kernel's scale begins at 1.
    let weight = asked
        .weight
        .map(|weight| ranged(Some(weight), "Weight"))
        .transpose()?;
    let quota = match (count, maximum) {
        (0, 0) => None,
        (count, 0) => Some(count.saturating_mul(PERIOD)),
        (0, maximum) => Some(maximum * processors * PERIOD / WHOLE_MACHINE),
        (count, maximum) => {
            let message = format!("Count ({count}) and Maximum ({maximum}) exclude each other");
            return Err(invalid(PROCESSOR.to_owned(), message));
        }
    };
    Ok(CpuLimits {
        quota: quota.map(|quota| CpuQuota {
            quota: quota.max(LEAST_QUOTA),
            period: PERIOD,
        }),
        weight: weight.map(|weight| weight.max(1)),
    })
}

fn ranged(value: Option<i64>, name: &str) -> Result<u64, Failure> {
    let value = value.unwrap_or_default();
    let in_range = u64::try_from(value)
        .ok()
        .filter(|value| *value <= WHOLE_MACHINE);
    in_range.ok_or_else(|| {
        let message = format!("{name} is {value}; 0 to {WHOLE_MACHINE} are allowed");
        invalid(format!("{PROCESSOR}/{name}"), message)
    })
}

fn invalid(pointer: String, message: String) -> Failure {
    Failure::new(HResult::HCS_E_INVALID_JSON, message.clone()).cause_at(pointer, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: u32, weight: i64, maximum: i64) -> ContainerProcessor {
        ContainerProcessor {
            count: Some(count),
            weight: Some(weight),
            maximum: Some(maximum),
            ..ContainerProcessor::default()
        }
    }

    fn quota(asked: &ContainerProcessor) -> Option<CpuQuota> {
        processor(Some(asked), 8).unwrap().quota
    }

    #[test]
    fn count_is_whole_processors() {
        let expected = CpuQuota {
            quota: 300_000,
            period: 100_000,
        };
        assert_eq!(quota(&asked(3, 0, 0)), Some(expected));
    }

    #[test]
    fn maximum_is_a_part_of_the_machine() {
        assert_eq!(quota(&asked(0, 0, 5000)).unwrap().quota, 400_000);
        assert_eq!(quota(&asked(0, 0, 10_000)).unwrap().quota, 800_000);
        assert_eq!(quota(&asked(0, 0, 1)).unwrap().quota, LEAST_QUOTA);
    }

    #[test]
    fn weight_is_that_of_version_2() {
        let limits = |weight| processor(Some(&asked(0, weight, 0)), 8).unwrap();
        assert_eq!(
            (limits(100).weight, limits(100).shares()),
            (Some(100), Some(1024))
        );
        assert_eq!(
            (limits(10_000).weight, limits(10_000).shares()),
            (Some(10_000), Some(102_400))
        );
        assert_eq!((limits(0).weight, limits(0).shares()), (Some(1), Some(10)));
    }

    #[test]
    fn values_that_mean_nothing_are_refused_where_they_stand() {
        let pointer = |asked: &ContainerProcessor| {
            let failure = processor(Some(asked), 8).unwrap_err();
            failure.causes[0].pointer.clone().unwrap()
        };
        assert_eq!(pointer(&asked(1, 0, 1)), "/Container/Processor");
        assert_eq!(pointer(&asked(0, 10_001, 0)), "/Container/Processor/Weight");
        assert_eq!(pointer(&asked(0, 0, -1)), "/Container/Processor/Maximum");
    }

    #[test]
    fn memory_is_in_megabytes() {
        let size = |size| {
            memory(Some(&ContainerMemory {
                size_in_mb: Some(size),
            }))
        };
        assert_eq!(size(64).unwrap(), Some(64 << 20));
        assert_eq!(size(0).unwrap(), None);
        assert!(size(u64::MAX / 2).is_err());
    }
}
