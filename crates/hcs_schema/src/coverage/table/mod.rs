//! The table itself: decisions with their reasons, by the document they are about.

mod lifecycle;
mod process;
mod service;
mod system;

use crate::{
    Document,
    coverage::{Coverage, Root},
    documents::{
        ComputeSystem, CrashOptions, CrashReport, ModificationRequest, ModifySettingRequest,
        PauseOptions, ProcessModifyRequest, ProcessParameters, SaveOptions, ServicePropertyQuery,
        ShutdownOptions, SignalProcessOptions, StartOptions, SystemPropertyQuery, SystemQuery,
    },
};

/// The documents that clients send.
pub const ROOTS: &[Root] = &[
    Root {
        call: "HcsCreateComputeSystem",
        shape: ComputeSystem::shape,
    },
    Root {
        call: "HcsStartComputeSystem",
        shape: StartOptions::shape,
    },
    Root {
        call: "HcsShutDownComputeSystem",
        shape: ShutdownOptions::shape,
    },
    Root {
        call: "HcsPauseComputeSystem",
        shape: PauseOptions::shape,
    },
    Root {
        call: "HcsSaveComputeSystem",
        shape: SaveOptions::shape,
    },
    Root {
        call: "HcsCrashComputeSystem",
        shape: CrashOptions::shape,
    },
    Root {
        call: "HcsEnumerateComputeSystems",
        shape: SystemQuery::shape,
    },
    Root {
        call: "HcsGetComputeSystemProperties",
        shape: SystemPropertyQuery::shape,
    },
    Root {
        call: "HcsModifyComputeSystem",
        shape: ModifySettingRequest::shape,
    },
    Root {
        call: "HcsCreateProcess",
        shape: ProcessParameters::shape,
    },
    Root {
        call: "HcsModifyProcess",
        shape: ProcessModifyRequest::shape,
    },
    Root {
        call: "HcsSignalProcess",
        shape: SignalProcessOptions::shape,
    },
    Root {
        call: "HcsGetServiceProperties",
        shape: ServicePropertyQuery::shape,
    },
    Root {
        call: "HcsModifyServiceSettings",
        shape: ModificationRequest::shape,
    },
    Root {
        call: "HcsSubmitWerReport",
        shape: CrashReport::shape,
    },
];

/// Returns the effect of the property (or value) `name` of the schema's `document` (or enumeration) here. `None` when
/// the table does not need it, because no client sends it or a property above it speaks for it.
#[must_use]
pub fn coverage(document: &str, name: &str) -> Option<Coverage> {
    let (_, entries) = TABLES
        .iter()
        .copied()
        .flatten()
        .find(|(of, _)| *of == document)?;
    let (_, coverage) = entries.iter().find(|(known, _)| *known == name)?;
    Some(*coverage)
}

/// Every entry: document, name, coverage.
#[cfg(test)]
pub(super) fn entries() -> impl Iterator<Item = (&'static str, &'static str, Coverage)> {
    TABLES
        .iter()
        .copied()
        .flatten()
        .flat_map(|(document, entries)| {
            entries
                .iter()
                .map(|(name, coverage)| (*document, *name, *coverage))
        })
}

/// The effects of the properties of one document, or of the values of one enumeration.
type Entries = &'static [(&'static str, Coverage)];

const TABLES: &[&[(&str, Entries)]] = &[
    system::ENTRIES,
    lifecycle::ENTRIES,
    process::ENTRIES,
    service::ENTRIES,
];
