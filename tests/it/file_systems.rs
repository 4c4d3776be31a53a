//! What is known of the file systems that a destination is on, asked of real ones.

use sprag::fs::{Fs, FsMeta, OsFs};

use crate::support::image::Image;
use crate::support::*;

#[test]
fn a_session_lasts_as_long_as_the_mount_and_no_longer() {
    let test = "a_session_lasts_as_long_as_the_mount";
    let Some(image) = Image::new(test, "ext4", 64 << 20, "") else {
        return;
    };
    let session = || {
        let fs = OsFs::open_root(&image.mount).unwrap();
        fs.session(&fs.root())
    };
    let Some((boot, mount)) = session() else {
        return skip(test, "mount ids that are never given again (Linux 6.8)");
    };
    assert_eq!(session(), Some((boot, mount)));
    image.mount_again("");
    let (boot_then, mount_then) = session().unwrap();
    assert_eq!(boot_then, boot);
    assert_ne!(mount_then, mount, "it was unmounted in between");
}
