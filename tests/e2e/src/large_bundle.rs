//! Bundles that are too large to be copied with one call, and quick to make.

/// Larger than one part of 64 MiB.
const GAP: u32 = 65 << 20;

/// The zip with a gap before its central directory, which no reader has to inflate. The directory's offset is stored
/// six bytes before the end.
pub fn with_gap(zip: &[u8]) -> Vec<u8> {
    let offset_at = zip.len() - 6;
    let offset = u32::from_le_bytes(zip[offset_at..offset_at + 4].try_into().unwrap());
    let (entries, directory) = zip.split_at(offset as usize);
    let gap = vec![0; GAP as usize];
    let mut with_gap = [entries, &gap, directory].concat();
    let offset_at = with_gap.len() - 6;
    with_gap[offset_at..offset_at + 4].copy_from_slice(&(offset + GAP).to_le_bytes());
    with_gap
}
