//! Documents of images: index, manifest, configuration, or a manifest and a configuration in two lines.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| hcs_storage::fuzzing::document(data));
