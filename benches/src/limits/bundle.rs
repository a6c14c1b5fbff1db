//! The measured bundle: 1,000 files and 500 MB, the same bytes on every machine.
//!
//! Half of the files are text of made-up words, which deflate compresses about as well as source code. Half are random
//! bytes, like compiled or compressed files, which it can't compress. Sizes differ: a half, one and one and a half
//! times the mean. The bundle is stored in `target/bench/` and made once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// How many files the bundle holds.
pub const FILES: usize = 1000;
/// How many bytes its files have together.
pub const BYTES: usize = 500_000_000;

/// The first of the files; a bundle without it is not a module.
const DEPLOYSPEC: &[u8] = b"deploy:\n  phases:\n    build:\n      commands:\n        - echo deployed\n";
/// New content needs a new name; otherwise an old bundle would be used.
const NAME: &str = "bundle-1.zip";

/// The bundle in `folder`, which is made if it is missing.
pub fn made_in(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(NAME);
    if path.exists() {
        return Ok(path);
    }
    let draft = tempfile::NamedTempFile::new_in(folder).context("cannot make the bundle")?;
    write(draft.as_file()).context("cannot write the bundle")?;
    draft.persist(&path).context("cannot keep the bundle")?;
    Ok(path)
}

fn write(file: &File) -> Result<()> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let mut numbers = Numbers(1);
    let words = words(&mut numbers);
    zip.start_file("deployspec.yaml", options)?;
    zip.write_all(DEPLOYSPEC)?;
    for (index, size) in sizes().enumerate() {
        let (folder, content) = if index % 2 == 0 {
            ("src", text(&mut numbers, &words, size))
        } else {
            ("assets", random(&mut numbers, size))
        };
        zip.start_file(format!("{folder}/{:02}/{index:03}", index / 50), options)?;
        zip.write_all(&content)?;
    }
    zip.finish()?.flush()?;
    Ok(())
}

/// The sizes of all files but the deployspec.
fn sizes() -> impl Iterator<Item = usize> {
    let (count, all) = (FILES - 1, BYTES - DEPLOYSPEC.len());
    let mean = all / count;
    let mut left = all;
    (0..count).map(move |index| {
        let size = if index + 1 == count {
            left
        } else {
            mean * (1 + index % 3) / 2
        };
        left -= size;
        size
    })
}

fn words(numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let mut word = || {
        let length = 3 + numbers.below(9);
        let mut word: Vec<u8> = (0..length).map(|_| b'a' + numbers.below(26) as u8).collect();
        word.push(if numbers.below(8) == 0 { b'\n' } else { b' ' });
        word
    };
    (0..4096).map(|_| word()).collect()
}

fn text(numbers: &mut Numbers, words: &[Vec<u8>], size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 100);
    while content.len() < size {
        // A few words follow each other in order, like phrases, from a position that is more often an early one.
        let place = numbers.below(words.len()) * numbers.below(words.len()) / words.len();
        let phrase = words[place..].iter().take(1 + numbers.below(6));
        phrase.for_each(|word| content.extend_from_slice(word));
    }
    content.truncate(size);
    content
}

fn random(numbers: &mut Numbers, size: usize) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::with_capacity(size + 8);
    while content.len() < size {
        content.extend_from_slice(&numbers.next().to_le_bytes());
    }
    content.truncate(size);
    content
}

/// Incompressible bytes, always the same.
pub fn incompressible(size: usize) -> Vec<u8> {
    random(&mut Numbers(1), size)
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_add_up_and_differ() {
        let sizes: Vec<usize> = sizes().collect();
        assert_eq!(sizes.len() + 1, FILES);
        assert_eq!(sizes.iter().sum::<usize>() + DEPLOYSPEC.len(), BYTES);
        assert!(
            sizes.iter().all(|size| (200_000..=800_000).contains(size)),
            "{:?}",
            sizes.last()
        );
    }
}
