//! The store of images on real file systems. Unpacking layers with all their owners wants root.
//!
//! 1. [`make`]: images in the forms of other programs. 2. [`ways`]: in, out, and in again. 3. [`hostile`]: what is
//!    refused.
//! 4. [`names`]: tags, removal, pruning. 5. [`kills`]: processes that end early, and many at once.
//! 6. [`leases`]: what containers use. 7. [`commits`]: images out of scratches. 8. [`tools`]: other programs.
//! 9. [`broken`]: what is damaged. 10. [`spools`]: streams that come slowly.
//! 11. [`platforms`]: images for several kinds of machines. 12. [`mapped`]: containers that write to the store.
//! 13. [`layers_there`]: contents for layers that are there already.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
mod commits;
mod hostile;
mod kills;
mod layers_there;
mod leases;
mod make;
mod mapped;
mod names;
mod platforms;
mod spools;
mod tools;
mod ways;
