//! What may be uploaded, and by which digest it is known.

use http::StatusCode;
use writ_store::{on_both, testing::TestDb};

use crate::stage::{Stage, archive, id, packed};

/// An archive with one entry whose path is written without anybody looking at it.
fn with_raw_path(path: &str, kind: tar::EntryType) -> Vec<u8> {
    packed(|tar| {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, &[][..]).unwrap();
    })
}

on_both! {
    async fn an_upload_is_known_by_the_digest_of_its_files_and_never_shown(db: &TestDb) {
        let stage = Stage::over(db).await;
        let uploaded = stage.upload(archive(&[("main.tf", "# secret plans"), ("modules/a/x.tf", "")])).await;
        assert_eq!(uploaded.status, StatusCode::CREATED, "{uploaded:?}");
        let uploaded = uploaded.json();
        assert_eq!(uploaded["files"], serde_json::json!(["main.tf", "modules/a/x.tf"]));
        assert_eq!(uploaded["size"], 14);
        let shown = stage.get(&stage.ann, &format!("/api/v1/configurations/{}", id(&uploaded))).await;
        assert_eq!(shown, uploaded);
        assert!(!shown.to_string().contains("secret plans"));
    }

    async fn the_digest_does_not_depend_on_how_it_was_packed(db: &TestDb) {
        let stage = Stage::over(db).await;
        let files = [("b.tf", "bb"), ("a.tf", "a")];
        let one = stage.upload(archive(&files)).await.json();
        let other = packed(|tar| {
            for (path, content) in files.iter().rev() {
                let mut header = tar::Header::new_ustar();
                header.set_size(content.len().try_into().unwrap());
                header.set_mtime(1_700_000_000);
                header.set_mode(0o755);
                tar.append_data(&mut header, format!("./{path}"), content.as_bytes()).unwrap();
            }
        });
        let other = stage.upload(other).await.json();
        assert_eq!(one["digest"], other["digest"]);
        let different = stage.upload(archive(&[("b.tf", "bb"), ("a.tf", "b")])).await.json();
        assert_ne!(one["digest"], different["digest"]);
        let moved = stage.upload(archive(&[("b.tfa", "bb"), (".tf", "a")])).await.json();
        assert_ne!(one["digest"], moved["digest"]);
    }

    async fn what_could_escape_or_confuse_is_refused(db: &TestDb) {
        use tar::EntryType::{Char, Link, Regular, Symlink};
        let stage = Stage::over(db).await;
        let bad = [
            ("up", with_raw_path("../main.tf", Regular)), ("inner up", with_raw_path("a/../../main.tf", Regular)),
            ("absolute", with_raw_path("/etc/main.tf", Regular)), ("backslash", with_raw_path("a\\b.tf", Regular)),
            ("control", with_raw_path("a\u{1b}b.tf", Regular)), ("symlink", with_raw_path("main.tf", Symlink)),
            ("hard link", with_raw_path("main.tf", Link)), ("device", with_raw_path("main.tf", Char)),
            ("twice", archive(&[("main.tf", "a"), ("main.tf", "b")])), ("twice by dots", archive(&[("main.tf", "a"), ("./main.tf", "b")])),
            ("nothing", archive(&[])), ("no archive", b"hello".to_vec()), ("empty", Vec::new()),
        ];
        for (name, body) in bad {
            let answer = stage.upload(body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {answer:?}");
        }
    }

    async fn a_bomb_is_not_inflated(db: &TestDb) {
        let stage = Stage::over(db).await;
        let bomb = packed(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_size(80 * 1024 * 1024);
            tar.append_data(&mut header, "main.tf", std::io::Read::take(std::io::repeat(0), 80 * 1024 * 1024)).unwrap();
        });
        assert!(bomb.len() < 1024 * 1024);
        let answer = stage.upload(bomb).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:?}");
    }

    async fn more_files_than_allowed_are_refused(db: &TestDb) {
        let stage = Stage::over(db).await;
        let names: Vec<String> = (0..4_001).map(|number| format!("{number}.tf")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(stage.upload(archive(&files)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    async fn a_viewer_cannot_upload(db: &TestDb) {
        let stage = Stage::over(db).await;
        let vic = stage.house.person(&stage.admin, "vic", &["viewer"]).await;
        let body = axum::body::Body::from(archive(&[("main.tf", "")]));
        let answer = stage.app.ask(Some(&vic.token), http::Method::POST, "/api/v1/configurations", body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}
