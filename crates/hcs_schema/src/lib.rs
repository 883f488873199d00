//! The vocabulary of the Host Compute Service: JSON documents, HRESULTs, `ResultError`, validation.
//!
//! This room does no I/O and knows nothing of engines, sockets or operations.
//!
//! ```
//! use hcs_schema::{documents::ProcessParameters, parse};
//!
//! let parameters: ProcessParameters = parse(r#"{"CommandArgs": ["/bin/true"]}"#)?;
//! assert_eq!(parameters.command_args.as_deref(), Some(&["/bin/true".to_owned()][..]));
//!
//! let failure = parse::<ProcessParameters>(r#"{"ComandLine": "true"}"#).unwrap_err();
//! assert_eq!(failure.causes[0].pointer.as_deref(), Some("/ComandLine"));
//! # Ok::<(), hcs_schema::Failure>(())
//! ```

#[macro_use]
mod macros;

pub mod coverage;
pub mod documents;
mod failure;
pub mod fault;
pub mod fnv;
mod hresult;
pub mod parse;
pub mod privileges;
pub mod read;
mod record;
pub mod rules;
pub mod shape;
mod shown;
mod stdio;
mod text;
pub mod timestamp;

use serde::{Serialize, de::DeserializeOwned};

pub use failure::{Cause, Failure, PROVIDER};
pub use hresult::{HResult, win32};
pub use parse::{parse, parse_optional};
pub use record::Record;
pub use rules::id::{MAX_ID_UNITS, check_id};
pub use shown::{is_hidden, shown, shown_json};
pub use stdio::Stdio;

/// A document of a schema: a type that [`document!`] made.
pub trait Document:
    Serialize + DeserializeOwned + Default + read::Read + rules::Checked + shape::Shaped
{
    /// Its name and properties.
    fn shape() -> &'static shape::Shape;

    /// Checks the rules beyond shape, for a document that was built and not parsed.
    ///
    /// # Errors
    /// `HCS_E_INVALID_JSON` with JSON pointers, as [`parse()`] gives, but without lines and columns.
    fn check(&self) -> Result<(), Failure> {
        let mut faults = fault::Faults::default();
        self.check_at(&fault::Path::ROOT, &mut faults);
        faults.into_result(Self::shape().name, |_| Vec::new())
    }
}
