//! Bundles and documents that are small to store and large to read. They are generated without ever being large in memory.
//!
//! The zips are written byte by byte (APPNOTE.TXT, 4.3 and 4.5), because no library writes false headers.

use flate2::{Compression, FlushCompress};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The value of a field of 16 or 32 bits whose actual value is in a zip64 record.
const ELSEWHERE_16: u16 = u16::MAX;
const ELSEWHERE_32: u32 = u32::MAX;

/// A zip that is written by hand; its headers have any values that a test wants.
#[derive(Debug, Default)]
pub struct RawZip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u64,
}

impl RawZip {
    /// A zip with a valid deployspec.
    pub fn with_deployspec() -> Self {
        Self::default().stored("deployspec.yaml", b"deploy: {phases: {}}")
    }

    /// Adds an uncompressed file.
    #[must_use]
    pub fn stored(self, path: &str, content: &[u8]) -> Self {
        let size = content.len() as u64;
        let mut crc = flate2::Crc::new();
        crc.update(content);
        self.entry(path, STORED, crc.sum(), content, size)
    }

    /// Adds a compressed file with `size` as its declared uncompressed size.
    #[must_use]
    pub fn deflated(self, path: &str, packed: &[u8], size: u64) -> Self {
        self.entry(path, DEFLATED, 0, packed, size)
    }

    /// Adds an entry to the directory only; it shares the header and the data of the first file.
    #[must_use]
    pub fn again(mut self, path: &str, packed: u32, size: u32) -> Self {
        self.directory_entry(path, STORED, 0, u64::from(packed), u64::from(size), 0);
        self
    }

    fn entry(mut self, path: &str, method: u16, crc: u32, packed: &[u8], size: u64) -> Self {
        let position = self.bytes.len() as u64;
        let long = zip64(packed.len() as u64, size);
        put(&mut self.bytes, b"PK\x03\x04");
        common_header(&mut self.bytes, path, method, crc, packed.len() as u64, size);
        put(&mut self.bytes, path.as_bytes());
        put(&mut self.bytes, &long);
        put(&mut self.bytes, packed);
        self.directory_entry(path, method, crc, packed.len() as u64, size, position);
        self
    }

    fn directory_entry(&mut self, path: &str, method: u16, crc: u32, packed: u64, size: u64, position: u64) {
        let directory = &mut self.directory;
        put(directory, b"PK\x01\x02\x2d\x03");
        common_header(directory, path, method, crc, packed, size);
        // No comment, disk 0, no attributes.
        put(directory, &[0; 10]);
        put(directory, &short_32(position).to_le_bytes());
        put(directory, path.as_bytes());
        put(directory, &zip64(packed, size));
        self.entries += 1;
    }

    /// The bytes of the archive.
    pub fn finish(self) -> Vec<u8> {
        let entries = self.entries;
        self.finish_saying(entries)
    }

    /// The bytes of the archive, with `entries` as its declared number of entries.
    pub fn finish_saying(self, entries: u64) -> Vec<u8> {
        let (start, size) = (self.bytes.len() as u64, self.directory.len() as u64);
        let mut bytes = self.bytes;
        put(&mut bytes, &self.directory);
        let record = bytes.len() as u64;
        put(&mut bytes, b"PK\x06\x06");
        put(&mut bytes, &44u64.to_le_bytes());
        put(&mut bytes, &[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [entries, entries, size, start] {
            put(&mut bytes, &number.to_le_bytes());
        }
        put(&mut bytes, b"PK\x06\x07\0\0\0\0");
        put(&mut bytes, &record.to_le_bytes());
        put(&mut bytes, &1u32.to_le_bytes());
        put(&mut bytes, b"PK\x05\x06\0\0\0\0");
        put(&mut bytes, &ELSEWHERE_16.to_le_bytes());
        put(&mut bytes, &ELSEWHERE_16.to_le_bytes());
        put(&mut bytes, &ELSEWHERE_32.to_le_bytes());
        put(&mut bytes, &ELSEWHERE_32.to_le_bytes());
        put(&mut bytes, &[0; 2]);
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, more: &[u8]) {
    bytes.extend_from_slice(more);
}

fn short_32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE_32)
}

/// The fields that the local header and the directory's header have in common.
fn common_header(bytes: &mut Vec<u8>, path: &str, method: u16, crc: u32, packed: u64, size: u64) {
    put(bytes, &45u16.to_le_bytes());
    put(bytes, &0u16.to_le_bytes());
    put(bytes, &method.to_le_bytes());
    // 1980-01-01 00:00
    put(bytes, &[0, 0, 0x21, 0]);
    put(bytes, &crc.to_le_bytes());
    let long = zip64(packed, size);
    let sizes = if long.is_empty() {
        [short_32(packed), short_32(size)]
    } else {
        [ELSEWHERE_32; 2]
    };
    for size in sizes {
        put(bytes, &size.to_le_bytes());
    }
    for length in [path.len(), long.len()] {
        put(bytes, &u16::try_from(length).expect("a short path").to_le_bytes());
    }
}

/// The extra field for sizes that don't fit into 32 bits.
fn zip64(packed: u64, size: u64) -> Vec<u8> {
    if size < u64::from(ELSEWHERE_32) {
        return Vec::new();
    }
    let mut field = vec![1, 0, 16, 0];
    put(&mut field, &size.to_le_bytes());
    put(&mut field, &packed.to_le_bytes());
    field
}

/// Zeros, deflated: the block of one mebibyte, repeated.
pub fn deflated_zeros(mebibytes: usize) -> Vec<u8> {
    let mut encoder = flate2::Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(1 << 16);
    encoder
        .compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full)
        .expect("deflating zeros");
    let mut packed = block.repeat(mebibytes);
    // The last block, which is empty (RFC 1951, 3.2.3).
    packed.extend([3, 0]);
    packed
}

/// Ten gigabytes of zeros in a zip of ten megabytes, with true headers.
pub fn ten_gigabytes() -> Vec<u8> {
    let mebibytes = 9_600;
    RawZip::with_deployspec()
        .deflated("zeros", &deflated_zeros(mebibytes), (mebibytes as u64) << 20)
        .finish()
}

/// A zip of `count` empty files.
pub fn files(count: usize) -> Vec<u8> {
    (0..count)
        .fold(RawZip::with_deployspec(), |zip, i| {
            zip.stored(&format!("f{i}"), b"")
        })
        .finish()
}

/// Lists of aliases of lists of aliases ("billion laughs"), as the value of a key.
pub fn laughs(key: &str) -> String {
    let mut text = String::from("a0: &a0 [ha,ha,ha,ha,ha,ha,ha,ha,ha,ha]\n");
    for i in 1..10 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(",");
        text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
    }
    format!("{text}{key}: *a9\n")
}

/// Ten thousand aliases of a text of 30 KB.
pub fn repeated_text(key: &str) -> String {
    format!(
        "a: &a {}\n{key}: [{}]\n",
        "x".repeat(30_000),
        "*a,".repeat(10_000)
    )
}
