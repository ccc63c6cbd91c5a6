//! A region of 2 MiB, extended by four elements.

use lgalloc_c::{lgalloc_set_config, AllocError, LgAlloc, Region};

pub fn main() -> Result<(), AllocError> {
    // Once, when the program starts: where the files may be, and that there may be any.
    lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));

    let mut region: Region<u8> = Region::new_mmap(2 << 20)?;
    region.extend_from_slice(&[1, 2, 3, 4]);
    println!("{:?}, room for {}", &region[..], region.capacity());

    // Regions are slices, move between threads, and free their memory wherever they are dropped.
    let sum = std::thread::spawn(move || region.iter().map(|b| u32::from(*b)).sum::<u32>());
    println!("sum {}", sum.join().expect("the thread does not panic"));
    Ok(())
}
