//! Kinds of disk images: which one a file is, by its name, and what its header must not ask for.
//!
//! A header is what a guest or another user may have written. It is read here for what would make QEMU open another
//! file, and for lists of any length that QEMU would read and tell of; everything else in it is QEMU's business.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A kind of disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    /// The bytes of the disk, one after the other.
    Raw,
    /// QEMU's own.
    Qcow2,
    /// Hyper-V's.
    Vhdx,
    /// That of Virtual PC, and of Azure.
    Vhd,
}

/// So many bytes of an image's beginning and end are looked at.
pub(crate) const LOOKED_AT: usize = 512;

const QCOW2: &[u8] = b"QFI\xfb";
const VHDX: &[u8] = b"vhdxfile";
const VHD: &[u8] = b"conectix";

/// Kinds that QEMU knows and that are refused.
const OTHERS: [&str; 6] = ["vmdk", "vdi", "qcow", "qed", "dmg", "avhdx"];

/// Fields of a qcow2 header, by their offsets: version, offset of the backing file's name, encryption, number of
/// snapshots, features. A bit of the incompatible features means that the data is in another file. A bit of those that
/// an old writer clears means that there are bitmaps.
const QCOW2_VERSION: usize = 4;
const QCOW2_BACKING: usize = 8;
const QCOW2_ENCRYPTION: usize = 32;
const QCOW2_SNAPSHOTS: usize = 60;
const QCOW2_FEATURES: usize = 72;
const QCOW2_DATA_ELSEWHERE: u64 = 1 << 2;
const QCOW2_AUTOCLEAR: usize = 88;
const QCOW2_BITMAPS: u64 = 1;

/// The type in a VHD's footer, and what it may be: fixed size, growing, and growing above a parent.
const VHD_TYPE: usize = 60;
const VHD_FIXED: u32 = 2;
const VHD_DYNAMIC: u32 = 3;
const VHD_WITH_PARENT: u32 = 4;

impl Format {
    /// The kind of the image at `path`: the name decides.
    ///
    /// # Errors
    /// A kind that is not supported.
    pub(crate) fn of_name(path: &str) -> Result<Self, String> {
        let extension = Path::new(path).extension().unwrap_or_default();
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "qcow2" => Ok(Self::Qcow2),
            "vhdx" => Ok(Self::Vhdx),
            "vhd" => Ok(Self::Vhd),
            other if OTHERS.contains(&other) => Err(format!(
                "disk images of the kind .{other} are not supported; qemu-img convert makes one of the kinds .qcow2, .vhdx, \
                 .vhd or .raw of it"
            )),
            _ => Ok(Self::Raw),
        }
    }

    /// The name of the driver in QEMU.
    pub(crate) const fn driver(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhdx => "vhdx",
            Self::Vhd => "vpc",
        }
    }

    /// Whether the image can be given to QEMU that begins with `start` and ends with `end`, each of up to [`LOOKED_AT`]
    /// bytes. `is_named_raw` says that its name says so.
    ///
    /// # Errors
    /// A sentence without its name: it is of another kind, or needs another file.
    pub(crate) fn check(self, start: &[u8], end: &[u8], is_named_raw: bool) -> Result<(), String> {
        match self {
            Self::Raw if start.len() < LOOKED_AT => Err(format!(
                "it has {} bytes, and a disk has at least {LOOKED_AT}",
                start.len()
            )),
            Self::Raw if is_named_raw => Ok(()),
            Self::Raw => known(start),
            Self::Qcow2 => qcow2(start),
            Self::Vhdx if start.starts_with(VHDX) => Ok(()),
            Self::Vhdx => Err(is_not("VHDX")),
            Self::Vhd => vhd(start, end),
        }
    }
}

/// Refuses what begins as another kind does, so that no guest finds a header where a disk should be.
fn known(start: &[u8]) -> Result<(), String> {
    let kinds = [(QCOW2, "qcow2"), (VHDX, "vhdx")];
    match kinds.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, kind)) => Err(format!(
            "by its name it has the bytes of a disk, but it begins as a {kind} image does: let its name end with .{kind}, or \
             with .raw if it is a disk after all"
        )),
        None => Ok(()),
    }
}

fn qcow2(start: &[u8]) -> Result<(), String> {
    let version = start
        .starts_with(QCOW2)
        .then(|| word(start, QCOW2_VERSION))
        .flatten();
    let features = match version {
        Some(2) => Some((0, 0)),
        Some(3) => long(start, QCOW2_FEATURES).zip(long(start, QCOW2_AUTOCLEAR)),
        _ => None,
    };
    let (Some((features, autoclear)), Some(backing), Some(encryption), Some(snapshots)) = (
        features,
        long(start, QCOW2_BACKING),
        word(start, QCOW2_ENCRYPTION),
        word(start, QCOW2_SNAPSHOTS),
    ) else {
        return Err(is_not("qcow2"));
    };
    if backing != 0 {
        return Err(needs("a backing file"));
    }
    if features & QCOW2_DATA_ELSEWHERE != 0 {
        return Err(needs("a file for its data"));
    }
    if encryption != 0 {
        return Err("it is encrypted, and no key could be given".to_owned());
    }
    if snapshots != 0 {
        return Err(holds("snapshots"));
    }
    if autoclear & QCOW2_BITMAPS != 0 {
        return Err(holds("bitmaps"));
    }
    Ok(())
}

/// QEMU takes the copy of the footer at the beginning, where there is one. On a disk of fixed size the guest's own data
/// begins there, so the footer at the end decides what may stand at the beginning.
fn vhd(start: &[u8], end: &[u8]) -> Result<(), String> {
    let kind = |bytes: &[u8]| match bytes.starts_with(VHD) {
        true => word(bytes, VHD_TYPE),
        false => None,
    };
    match (kind(start), kind(end)) {
        (Some(VHD_WITH_PARENT), _) | (_, Some(VHD_WITH_PARENT)) => Err(needs("a parent")),
        (None, Some(VHD_FIXED)) | (Some(VHD_DYNAMIC), Some(VHD_DYNAMIC)) => Ok(()),
        (Some(_), Some(VHD_FIXED)) => Err(
            "it is a VHD of fixed size whose data begins as another VHD, which QEMU would take: a guest may have written that"
                .to_owned(),
        ),
        _ => Err(is_not("VHD")),
    }
}

fn needs(what: &str) -> String {
    format!(
        "it needs {what}, another file of the host, which its header names: `qemu-img convert` makes one image of both"
    )
}

fn holds(what: &str) -> String {
    format!(
        "it holds {what}, which are not supported: `qemu-img convert` makes an image without them"
    )
}

fn is_not(kind: &str) -> String {
    format!("by its name it is a {kind} image, but it does not begin as one")
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_decides() {
        for (path, format) in [
            ("/a/b.QCOW2", Format::Qcow2),
            ("/a/b.vhdx", Format::Vhdx),
            ("/a/b.vhd", Format::Vhd),
            ("/a/b.raw", Format::Raw),
            ("/a/b.img", Format::Raw),
            ("/a.vhdx/b", Format::Raw),
        ] {
            assert_eq!(Format::of_name(path), Ok(format), "{path}");
        }
        for other in ["/a.vmdk", "/a.VDI"] {
            assert!(
                Format::of_name(other)
                    .unwrap_err()
                    .contains("qemu-img convert"),
                "{other}"
            );
        }
    }

    /// A header with these fields.
    fn header(magic: &[u8], fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; LOOKED_AT];
        bytes[..magic.len()].copy_from_slice(magic);
        for (at, value) in fields {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        bytes
    }

    #[test]
    fn a_qcow2_image_that_names_other_files_is_refused() {
        let image = |version: u8, fields: &[(usize, &[u8])]| {
            let version = [0, 0, 0, version];
            let fields = [&[(QCOW2_VERSION, &version[..])], fields].concat();
            Format::Qcow2.check(&header(QCOW2, &fields), &[], false)
        };
        for version in [2, 3] {
            image(version, &[]).unwrap();
            let backing = image(version, &[(QCOW2_BACKING + 6, &[1, 0])]).unwrap_err();
            assert!(backing.contains("a backing file"), "{backing}");
            assert!(
                image(version, &[(QCOW2_ENCRYPTION + 3, &[2])])
                    .unwrap_err()
                    .contains("encrypted")
            );
        }
        let elsewhere = &[(QCOW2_FEATURES + 7, &[4][..])];
        assert!(image(3, elsewhere).unwrap_err().contains("for its data"));
        // There are no such features in the older version.
        image(2, elsewhere).unwrap();
        assert!(image(1, &[]).is_err() && image(4, &[]).is_err());
    }

    #[test]
    fn a_qcow2_image_with_lists_of_any_length_is_refused() {
        for (version, at, what) in [
            (2, QCOW2_SNAPSHOTS + 3, Some("snapshots")),
            (3, QCOW2_SNAPSHOTS, Some("snapshots")),
            (3, QCOW2_AUTOCLEAR + 7, Some("bitmaps")),
            // There are no such features in the older version.
            (2, QCOW2_AUTOCLEAR + 7, None),
        ] {
            let fields = [(QCOW2_VERSION + 3, &[version][..]), (at, &[1])];
            let checked = Format::Qcow2.check(&header(QCOW2, &fields), &[], false);
            match what {
                Some(what) => assert!(checked.unwrap_err().contains(what), "{version} {at}"),
                None => checked.unwrap(),
            }
        }
    }

    #[test]
    fn a_vhd_with_a_parent_is_refused_wherever_its_footer_is() {
        let footer = |kind: u8| header(VHD, &[(VHD_TYPE + 3, &[kind])]);
        let data = vec![7; LOOKED_AT];
        Format::Vhd.check(&data, &footer(2), false).unwrap();
        Format::Vhd.check(&footer(3), &footer(3), false).unwrap();
        // A guest writes the footer of a growing disk into the first sector of one of fixed size.
        for forged in [2, 3, 9] {
            let refused = Format::Vhd.check(&footer(forged), &footer(2), false);
            assert!(refused.unwrap_err().contains("a guest"), "{forged}");
        }
        for (start, end) in [(2, 3), (3, 9)] {
            let refused = Format::Vhd.check(&footer(start), &footer(end), false);
            assert!(refused.is_err(), "{start} {end}");
        }
        assert!(Format::Vhd.check(&data, &footer(3), false).is_err());
        assert!(Format::Vhd.check(&footer(3), &data, false).is_err());
        assert!(
            Format::Vhd
                .check(&data, &footer(4), false)
                .unwrap_err()
                .contains("a parent")
        );
        assert!(Format::Vhd.check(&footer(4), &footer(2), false).is_err());
        assert!(
            Format::Vhd
                .check(&data, &data, false)
                .unwrap_err()
                .contains("VHD")
        );
    }

    #[test]
    fn a_disk_of_bytes_is_no_other_kind_unless_its_name_says_so() {
        let check = |bytes: &[u8], named| Format::Raw.check(bytes, bytes, named);
        check(&[0; LOOKED_AT], false).unwrap();
        assert!(check(&[0; LOOKED_AT - 1], false).is_err());
        for magic in [QCOW2, VHDX] {
            let bytes = header(magic, &[]);
            assert!(check(&bytes, false).unwrap_err().contains(".raw"));
            check(&bytes, true).unwrap();
        }
        assert!(Format::Vhdx.check(&[0; LOOKED_AT], &[], false).is_err());
        Format::Vhdx.check(&header(VHDX, &[]), &[], false).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut start in prop::collection::vec(any::<u8>(), 0..LOOKED_AT), kind in 0..3_usize) {
            let magic = [QCOW2, VHDX, VHD][kind];
            start.splice(0..0, magic.iter().copied());
            start.truncate(LOOKED_AT);
            for format in [Format::Raw, Format::Qcow2, Format::Vhdx, Format::Vhd] {
                let _any = format.check(&start, &start, false);
            }
        }
    }
}
