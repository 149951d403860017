//! Reads and writes the small files that settings name.

use std::io;
use std::path::Path;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// A file of certificates, keys or a token at most; a bundle of every public authority is a quarter of this.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file of bounded length. What it held is overwritten when the buffer goes: it may be a key. Cancel safe.
pub(crate) async fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let opened = tokio::fs::File::open(file).await?;
    // With room for all of it from the start: a buffer that grows leaves copies behind that nobody overwrites.
    let length = opened.metadata().await?.len().min(FILE_BYTES_MAX);
    let mut contents = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    let mut bounded = opened.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut contents).await?;
    match contents.len() as u64 <= FILE_BYTES_MAX {
        true => Ok(contents),
        false => Err(io::Error::other(format!(
            "it is longer than {FILE_BYTES_MAX} bytes"
        ))),
    }
}

/// The same of a text.
pub(crate) async fn read_text(file: &Path) -> io::Result<Zeroizing<String>> {
    let contents = read(file).await?;
    let text = std::str::from_utf8(&contents).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Puts a file in the place of another at once: who reads it meanwhile gets one of the two, whole.
pub(crate) fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut temporary, contents)?;
    // What is written so is nobody's secret.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(permissions)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
