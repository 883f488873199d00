//! Images that are sound, and others.

use proptest::prelude::*;

use super::{fields::*, *};

const SIZE: u64 = 100 * MIB;

fn image() -> File {
    let file = tempfile::tempfile().unwrap();
    for (offset, bytes) in new(SIZE).unwrap() {
        file.write_all_at(&bytes, offset).unwrap();
    }
    Image::read(&file).unwrap().lay_out(&file).unwrap();
    file
}

fn stretch(file: &File) -> Result<Stretch, Refusal> {
    let found = Image::read(file).and_then(|image| image.stretch(file));
    found.map_err(|failed| match failed {
        Failed::Refused(refusal) => refusal,
        Failed::Kernel(errno) => panic!("{errno}"),
    })
}

/// Changes `value.len()` bytes in what begins at `piece` and has a sum over `length` bytes.
fn change(file: &File, pieces: [u64; 2], length: usize, at: usize, value: &[u8]) {
    for piece in pieces {
        let mut content = bytes(file, piece, length).unwrap();
        put(&mut content, at, value);
        seal(&mut content);
        file.write_all_at(&content, piece).unwrap();
    }
}

#[test]
fn sums_are_those_of_the_format() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(
        guid(0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF)[..6],
        [0x33, 0x22, 0x11, 0, 0x55, 0x44]
    );
}

#[test]
fn a_new_image_is_one_stretch_behind_its_tables() {
    let file = image();
    let found = stretch(&file).unwrap();
    assert_eq!((found.offset, found.length), (4 * MIB, SIZE));
    assert!(file.metadata().unwrap().len() >= found.offset + found.length);
    // Another write is told by other numbers, and the newer header counts.
    let before = Image::read(&file).unwrap();
    before.note_write(&file).unwrap();
    let after = Image::read(&file).unwrap();
    assert_ne!(before.current.0, after.current.0);
    assert_ne!(before.current.1[16..48], after.current.1[16..48]);
    assert_eq!(stretch(&file), Ok(found));
}

/// What a call that is killed may leave: a file that ends behind its tables, and any part of a new table of blocks.
#[test]
fn a_layout_that_was_cut_off_is_made_again() {
    for (length, entries) in [(4 * MIB, 0), (4 * MIB, 2), (104 * MIB, 0), (104 * MIB, 3)] {
        let file = image();
        let expected = stretch(&file);
        let table = 3 * MIB;
        let blank = vec![0; 32 - 8 * entries];
        file.write_all_at(&blank, table + 8 * entries as u64)
            .unwrap();
        file.set_len(length).unwrap();
        stretch(&file).unwrap_err();
        Image::read(&file).unwrap().lay_out(&file).unwrap();
        assert_eq!(stretch(&file), expected, "{length} {entries}");
    }
}

#[test]
fn groups_of_blocks_have_an_entry_of_their_own_between_them() {
    let blocks = Blocks {
        size: 10 * MIB,
        block: MIB,
        ratio: 4,
    };
    assert_eq!((blocks.count(), blocks.entries()), (10, 12));
    let found: Vec<_> = (0..12).map(|index| blocks.of_entry(index)).collect();
    let none = found.iter().filter(|block| block.is_none()).count();
    assert_eq!(
        (none, found[4], found[5], found[11]),
        (2, None, Some(4), Some(9))
    );
    assert_eq!(
        Blocks {
            size: 4 * MIB,
            ..blocks
        }
        .entries(),
        4
    );
}

#[test]
fn what_would_need_another_file_or_a_program_is_refused() {
    let with = |corrupt: &dyn Fn(&File)| {
        let file = image();
        corrupt(&file);
        stretch(&file).unwrap_err()
    };
    let (values, bat) = (2 * MIB, 3 * MIB);
    let write = |file: &File, at: u64, value: &[u8]| file.write_all_at(value, at).unwrap();
    let parent = with(&|file| write(file, values + (64 << 10) + 4, &[3]));
    assert!(
        matches!(parent, Refusal::OtherDisk(why) if why.contains("parent")),
        "{parent}"
    );
    let locator = with(&|file| write(file, values + 32 + 4 * 32, &PARENT));
    assert!(
        matches!(locator, Refusal::OtherDisk(why) if why.contains("parent")),
        "{locator}"
    );
    let log = with(&|file| change(file, HEADERS, HEADER, header::LOG, &[1; 16]));
    assert!(
        matches!(log, Refusal::OtherDisk(why) if why.contains("log")),
        "{log}"
    );
    for (entry, value) in [
        (0, 0),
        (1, 0),
        (1, (4 * MIB) | PRESENT),
        (2, (68 * MIB) | 7),
        (0, u64::MAX),
    ] {
        let scattered = with(&|file| write(file, bat + entry * 8, &u64::to_le_bytes(value)));
        assert!(
            matches!(scattered, Refusal::OtherDisk(_)),
            "{entry} {value:x}: {scattered}"
        );
    }
    assert_eq!(with_region(0), Ok(4 * MIB));
    let unknown = with_region(1).unwrap_err();
    assert!(matches!(unknown, Refusal::OtherDisk(_)), "{unknown}");
}

/// Where the disk is in an image with a region of an unknown kind.
fn with_region(required: u8) -> Result<u64, Refusal> {
    let file = image();
    change(&file, REGIONS, REGION_TABLE, 8, &3_u32.to_le_bytes());
    let mut entry = [9; 32];
    entry[28] = required;
    change(&file, REGIONS, REGION_TABLE, 16 + 64, &entry);
    stretch(&file).map(|found| found.offset)
}

#[test]
fn what_lies_elsewhere_than_it_can_is_refused() {
    let shifted = |start: u64| {
        let file = image();
        let blocks = Blocks {
            size: SIZE,
            block: 32 * MIB,
            ratio: 128,
        };
        for index in 0..blocks.entries() {
            let entry = blocks.entry(index, start).to_le_bytes();
            file.write_all_at(&entry, 3 * MIB + index * 8).unwrap();
        }
        stretch(&file)
    };
    assert!(shifted(4 * MIB).is_ok());
    for start in [0, MIB, 3 * MIB, 80 * MIB, 1 << 62] {
        let refused = shifted(start).unwrap_err();
        assert!(
            matches!(refused, Refusal::NoDisk(_) | Refusal::OtherDisk(_)),
            "{start}: {refused}"
        );
    }
    for (at, value) in [(16, 0), (16, MIB + 1), (16, u64::MAX), (24, 1), (24, 0)] {
        let file = image();
        change(
            &file,
            REGIONS,
            REGION_TABLE,
            16 + at,
            &u64::to_le_bytes(value),
        );
        assert!(
            matches!(stretch(&file), Err(Refusal::NoDisk(_))),
            "{at} {value}"
        );
    }
    for size in [0, 511, LARGEST + 512, LARGEST] {
        let file = image();
        file.write_all_at(&u64::to_le_bytes(size), 2 * MIB + (64 << 10) + 64)
            .unwrap();
        assert!(matches!(stretch(&file), Err(Refusal::NoDisk(_))), "{size}");
    }
    let file = image();
    file.set_len(60 * MIB).unwrap();
    assert!(matches!(stretch(&file), Err(Refusal::NoDisk(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bytes_are_survived_and_lead_nowhere_else(
        changes in prop::collection::vec((0..5_usize, 0..256_u64, any::<u8>()), 1..6),
    ) {
        let file = image();
        for (piece, at, value) in changes {
            let start = [HEADERS[0], REGIONS[0], 2 * MIB, 2 * MIB + (64 << 10), 3 * MIB][piece];
            file.write_all_at(&[value], start + at).unwrap();
        }
        change(&file, [HEADERS[0], HEADERS[1]], HEADER, header::SEQUENCE, &[7]);
        change(&file, REGIONS, REGION_TABLE, 4, &[0; 4]);
        if let Ok(found) = stretch(&file) {
            prop_assert!(found.offset >= MIB);
            prop_assert!(found.offset + found.length <= file.metadata().unwrap().len());
        }
    }
}
