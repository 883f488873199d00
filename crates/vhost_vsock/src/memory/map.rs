//! Which addresses a guest has, and where its front end has them.

/// The most regions that a front end may announce: the protocol allows no more.
pub(crate) const MAX_REGIONS: usize = 8;

/// One piece of guest memory, as the front end announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// The first address in the guest.
    pub(crate) guest: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// The first address in the front end's process.
    pub(crate) front_end: u64,
    /// Where the region begins in the file behind it.
    pub(crate) file: u64,
}

/// All pieces of guest memory. No range in it wraps around, and no two overlap in the guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    regions: Vec<Region>,
}

/// Regions are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MapError {
    /// A region has no byte, or goes beyond the end of its addresses.
    #[error(
        "a region of {size:#x} bytes at {guest:#x} in the guest, {front_end:#x} in the front end and {file:#x} in its \
         file is not possible"
    )]
    Impossible {
        guest: u64,
        size: u64,
        front_end: u64,
        file: u64,
    },
    /// Two regions share addresses of the guest.
    #[error("two regions of memory overlap at {guest:#x} in the guest")]
    Overlap { guest: u64 },
    /// The regions are larger than the machine may be.
    #[error("regions of {size:#x} bytes in all were announced, and {limit:#x} are allowed")]
    TooLarge { size: u64, limit: u64 },
}

impl Map {
    /// Checks the regions, which have at most `limit` bytes in all.
    pub(crate) fn new(mut regions: Vec<Region>, limit: u64) -> Result<Self, MapError> {
        let mut total = 0_u64;
        for region in &regions {
            let possible = region.size > 0
                && region.guest.checked_add(region.size).is_some()
                && region.front_end.checked_add(region.size).is_some()
                && end_in_file(region).is_some();
            if !possible {
                return Err(MapError::Impossible {
                    guest: region.guest,
                    size: region.size,
                    front_end: region.front_end,
                    file: region.file,
                });
            }
            total = total.saturating_add(region.size);
        }
        if total > limit {
            return Err(MapError::TooLarge { size: total, limit });
        }
        regions.sort_by_key(|region| region.guest);
        for pair in regions.windows(2) {
            if pair[0].guest + pair[0].size > pair[1].guest {
                return Err(MapError::Overlap {
                    guest: pair[1].guest,
                });
            }
        }
        Ok(Self { regions })
    }

    /// The number of the region that has all of the `length` bytes at `address` of the guest, and where they begin in
    /// it.
    pub(crate) fn locate(&self, address: u64, length: usize) -> Option<(&Region, u64)> {
        find(&self.regions, address, length, |region| region.guest)
    }

    /// The address in the guest of `length` bytes at `address` of the front end.
    pub(crate) fn guest_address(&self, address: u64, length: usize) -> Option<u64> {
        let (region, offset) = find(&self.regions, address, length, |region| region.front_end)?;
        Some(region.guest + offset)
    }

    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }
}

/// Where the region ends in its file, as an offset that files can have.
pub(crate) fn end_in_file(region: &Region) -> Option<u64> {
    let end = region.file.checked_add(region.size)?;
    i64::try_from(end).is_ok().then_some(end)
}

/// The region that has all of a range, and the offset of the range in it.
fn find(
    regions: &[Region],
    address: u64,
    length: usize,
    start: impl Fn(&Region) -> u64,
) -> Option<(&Region, u64)> {
    let length = u64::try_from(length).ok()?;
    regions.iter().find_map(|region| {
        let offset = address.checked_sub(start(region))?;
        let fits = offset <= region.size && length <= region.size - offset;
        fits.then_some((region, offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region(guest: u64, size: u64) -> Region {
        Region {
            guest,
            size,
            front_end: guest + 0x1000,
            file: 0,
        }
    }

    #[test]
    fn a_range_is_found_with_its_last_byte() {
        let map = Map::new(vec![region(0x2000, 0x1000), region(0, 0x1000)], 1 << 20).unwrap();
        assert_eq!(
            map.locate(0x2ff0, 0x10).map(|(r, o)| (r.guest, o)),
            Some((0x2000, 0xff0))
        );
        assert_eq!(map.locate(0x2ff0, 0x11), None);
        assert_eq!(map.locate(0x1000, 1), None);
        assert_eq!(map.locate(u64::MAX, 1), None);
        assert_eq!(map.locate(u64::MAX, usize::MAX), None);
        assert_eq!(map.guest_address(0x1010, 8), Some(0x10));
        assert_eq!(map.guest_address(0x0fff, 8), None);
    }

    #[test]
    fn impossible_regions_are_refused() {
        let limit = u64::MAX;
        for bad in [
            region(0, 0),
            Region {
                guest: u64::MAX,
                ..region(0, 2)
            },
            Region {
                front_end: u64::MAX,
                ..region(0, 2)
            },
            Region {
                file: u64::MAX,
                ..region(0, 2)
            },
            Region {
                file: i64::MAX as u64,
                ..region(0, 2)
            },
        ] {
            assert!(
                matches!(Map::new(vec![bad], limit), Err(MapError::Impossible { .. })),
                "{bad:?}"
            );
        }
        let overlap = vec![region(0, 0x1001), region(0x1000, 1)];
        assert_eq!(
            Map::new(overlap, limit),
            Err(MapError::Overlap { guest: 0x1000 })
        );
        let large = vec![region(0, 0x1000), region(0x1000, 1)];
        assert_eq!(
            Map::new(large, 0x1000),
            Err(MapError::TooLarge {
                size: 0x1001,
                limit: 0x1000
            })
        );
    }

    proptest! {
        #[test]
        fn what_is_found_lies_in_its_region(
            raw in prop::collection::vec((any::<u64>(), 0..0x10000_u64, any::<u64>(), any::<u64>()), 0..8),
            address: u64, length in 0..0x10000_usize, near in any::<prop::sample::Index>(), off in 0..0x10000_u64,
        ) {
            let regions: Vec<Region> = raw.iter().map(|&(guest, size, front_end, file)| Region { guest, size, front_end, file }).collect();
            let Ok(map) = Map::new(regions.clone(), u64::MAX) else { return Ok(()) };
            let address = if regions.is_empty() { address } else { near.get(&regions).guest.wrapping_add(off) };
            if let Some((region, offset)) = map.locate(address, length) {
                prop_assert_eq!(region.guest + offset, address);
                prop_assert!(offset + length as u64 <= region.size);
            }
        }
    }
}
