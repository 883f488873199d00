//! `-accel` and `-cpu`: what executes the guest's instructions, and the processor that the guest sees.

use serde::{Deserialize, Serialize};

use super::Switch;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Accelerator {
    /// The processor, by the kernel's hypervisor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// Megabytes of translated code that QEMU keeps. Its own default is up to a gigabyte for each machine.
pub(crate) const TRANSLATIONS_MB: u64 = 128;

/// The processor of a guest that is translated: all that QEMU has, but for fast string instructions. QEMU executes
/// these byte by byte, and a Linux guest that sees them uses them for all that it clears and copies.
const TRANSLATED: &str = "max,-erms,-fsrm";

pub(super) struct Accel(pub(super) Accelerator);

impl Switch for Accel {
    fn words(&self) -> Vec<String> {
        let (accelerator, processor) = match self.0 {
            Accelerator::Kvm => ("kvm".to_owned(), "host"),
            Accelerator::Tcg => (
                format!("tcg,thread=multi,tb-size={TRANSLATIONS_MB}"),
                TRANSLATED,
            ),
        };
        vec![
            "-accel".to_owned(),
            accelerator,
            "-cpu".to_owned(),
            processor.to_owned(),
        ]
    }
}
