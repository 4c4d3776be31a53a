//! What the README tells people to type does what it says there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Rng, assert_same_tree, forgetful, rot, write};

/// A file of the repository.
fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A home with photos in it, and a directory that stands for the drive.
struct Desk {
    _temp: tempfile::TempDir,
    home: PathBuf,
    drive: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let temp = tempfile::tempdir().unwrap();
        let (home, drive) = (temp.path().join("home"), temp.path().join("drive"));
        fs::create_dir_all(&drive).unwrap();
        let mut rng = Rng::new(3);
        write(home.join("photos/2024/one.raw"), rng.bytes(3 << 20));
        write(home.join("photos/2024/two.jpg"), rng.bytes(5000));
        write(home.join("photos/notes.txt"), "where each was taken");
        Desk {
            _temp: temp,
            home,
            drive,
        }
    }

    /// Runs what stands in a block of the README, up to the first command that fails.
    fn run(&self, block: &str) -> Output {
        let script = block.replace("/media/drive", self.drive.to_str().unwrap());
        let program = Path::new(env!("CARGO_BIN_EXE_sprag")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", &script])
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("PATH", format!("{}:{path}", program.display()));
        forgetful(&mut shell);
        shell.output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, block: &str) -> String {
        let output = self.run(block);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The recipes: the bold words before each block of commands, and the block.
fn recipes() -> Vec<(String, String)> {
    let readme = page("README.md");
    let (_, section) = readme.split_once("## Recipes\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut parts = section.split("```");
    let mut recipes = Vec::new();
    while let (Some(text), Some(block)) = (parts.next(), parts.next()) {
        let title = text.split("**").nth(1).expect("a title in bold");
        let block = block.strip_prefix("sh\n").expect("a block of commands");
        recipes.push((title.trim_end_matches('.').to_owned(), block.to_owned()));
    }
    recipes
}

fn recipe(title: &str) -> String {
    let found = recipes().into_iter().find(|(name, _)| name == title);
    found.unwrap_or_else(|| panic!("no recipe {title}")).1
}

#[test]
fn each_recipe_works_after_a_first_copy() {
    let desk = Desk::new();
    let all = recipes();
    assert_eq!(all.first().unwrap().0, "The first copy");
    assert!(all.len() >= 9, "{all:?}");
    for (_, block) in all {
        desk.succeed(&block);
    }
    assert_same_tree(&desk.home.join("photos"), &desk.drive.join("photos"));
}

#[test]
fn the_mirror_deletes_what_the_source_does_not_have_after_it_was_shown() {
    let desk = Desk::new();
    desk.succeed(&recipe("The first copy"));
    fs::remove_file(desk.home.join("photos/notes.txt")).unwrap();
    let shown = desk.succeed(recipe("Mirror").lines().next().unwrap());
    assert!(shown.contains("notes.txt"), "{shown}");
    assert!(desk.drive.join("photos/notes.txt").exists());
    desk.succeed(&recipe("Mirror"));
    assert!(!desk.drive.join("photos/notes.txt").exists());
}

#[test]
fn the_yearly_verification_finds_rot_and_the_repair_mends_it() {
    let desk = Desk::new();
    desk.succeed(&recipe("The first copy"));
    rot(&desk.drive.join("photos/2024/one.raw"), 2 << 20);
    let verify = desk.run(&recipe("Verify yearly"));
    assert_eq!(verify.status.code(), Some(40));
    let repair = recipe("Repair");
    let (against, repair) = repair.trim_end().split_once('\n').unwrap();
    assert_eq!(desk.run(against).status.code(), Some(40));
    desk.succeed(repair);
    desk.succeed(&recipe("Verify yearly"));
    assert_same_tree(&desk.home.join("photos"), &desk.drive.join("photos"));
}

#[test]
fn the_script_prints_the_summary_or_what_went_wrong() {
    let desk = Desk::new();
    let script = recipe("In a script");
    // No manifest is there yet, so the drive might not be mounted.
    let refused = desk.run(&script);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains(r#""exit_code":3"#), "{said}");
    assert!(!desk.drive.join("photos").exists());
    desk.succeed(&recipe("The first copy"));
    let summary: serde_json::Value = serde_json::from_str(&desk.succeed(&script)).unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["files_unchanged"], 3);
}

#[test]
fn the_list_names_each_file() {
    let desk = Desk::new();
    desk.succeed(&recipe("The first copy"));
    desk.succeed(&recipe("For somebody without sprag"));
    let list = fs::read_to_string(desk.home.join("sums.b3")).unwrap();
    assert_eq!(list.lines().count(), 3, "{list}");
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let readme = page("README.md");
    let (_, table) = readme.split_once("## Exit codes\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let codes: Vec<u8> = table
        .lines()
        .filter_map(|row| row.split('|').nth(1)?.trim().parse().ok())
        .collect();
    let known: Vec<u8> = sprag::exit::Exit::ALL.iter().map(|e| e.code()).collect();
    assert_eq!(codes, known);
}
