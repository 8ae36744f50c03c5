//! Init, unseal, close.

use writ_kernel::Kind;
use writ_seal::{Protection, Status};
use writ_store::{on_both, testing::TestDb};

use crate::{SHAMIR, Vault, passphrase, secret};

on_both! {
    async fn before_init_it_is_closed_and_nothing_opens_it(db: &TestDb) {
        let vault = Vault::empty(db);
        let status = vault.seal.status().await.unwrap();
        let nothing = Status { initialized: false, sealed: true, protection: None, threshold: None, shares: None, progress: 0 };
        assert_eq!(status, nothing);
        assert_eq!(vault.seal.unseal(None).await.unwrap_err().code(), "not_initialized");
        assert!(vault.seal.is_closed());
    }

    async fn init_leaves_it_open_and_happens_once(db: &TestDb) {
        let (vault, shares) = Vault::new(db, Protection::DevFile).await;
        assert!(shares.is_empty());
        assert!(!vault.seal.is_closed());
        let again = vault.seal.init(Protection::DevFile).await.err().unwrap();
        assert_eq!((again.kind(), again.code()), (Kind::Conflict, "already_initialized"));
        vault.restarted().unseal(None).await.unwrap();
    }

    async fn a_key_file_opens_it(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let seal = vault.restarted();
        assert!(seal.is_closed());
        let status = seal.unseal(None).await.unwrap();
        assert_eq!((status.sealed, status.protection), (false, Some("dev-file")));
    }

    async fn a_key_file_is_for_its_owner_only(db: &TestDb) {
        use std::os::unix::fs::PermissionsExt as _;
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let mode = std::fs::metadata(vault.key_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    async fn without_its_key_file_it_stays_closed(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let seal = vault.restarted();
        std::fs::write(vault.key_file(), "not a key").unwrap();
        assert_eq!(seal.unseal(None).await.unwrap_err().code(), "no_key_file");
        std::fs::remove_file(vault.key_file()).unwrap();
        assert_eq!(seal.unseal(None).await.unwrap_err().code(), "no_key_file");
        assert!(seal.is_closed());
    }

    async fn anothers_key_file_does_not_open_it(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        std::fs::write(vault.key_file(), data_encoding::BASE64.encode(&[7; 32])).unwrap();
        let error = vault.restarted().unseal(None).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "wrong_key"));
    }

    async fn closing_forgets_everything_and_the_same_key_opens_it_again(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let tenant = vault.tenant().await;
        vault.seal.close();
        assert!(vault.seal.is_closed());
        let mut tx = db.db.read(tenant).await.unwrap();
        assert_eq!(vault.seal.tenant(&mut tx).await.err().unwrap().kind(), Kind::Sealed);
        vault.seal.unseal(Some(secret("correct horse battery"))).await.unwrap();
        vault.seal.tenant(&mut tx).await.unwrap();
    }

    async fn a_wrong_passphrase_does_not_open_it(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let seal = vault.restarted();
        let error = seal.unseal(Some(secret("correct horse batterz"))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "wrong_key"));
        assert!(seal.is_closed());
        let missing = seal.unseal(None).await.unwrap_err();
        assert_eq!((missing.kind(), missing.code()), (Kind::Invalid, "key_missing"));
        assert!(!seal.unseal(Some(secret("correct horse battery"))).await.unwrap().sealed);
    }

    async fn a_short_passphrase_is_refused_and_nothing_is_initialised(db: &TestDb) {
        let vault = Vault::empty(db);
        let error = vault.seal.init(passphrase("elevenchars")).await.err().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, "weak_passphrase"));
        assert!(!vault.seal.status().await.unwrap().initialized);
        assert!(vault.seal.is_closed());
    }

    async fn two_of_three_shares_open_it_and_progress_shows(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        assert_eq!(shares.len(), 3);
        let seal = vault.restarted();
        let first = seal.unseal(Some(secret(shares[2].expose()))).await.unwrap();
        assert_eq!((first.sealed, first.progress, first.threshold), (true, 1, Some(2)));
        let second = seal.unseal(Some(secret(shares[0].expose()))).await.unwrap();
        assert_eq!((second.sealed, second.progress), (false, 0));
    }

    async fn the_same_share_twice_is_one_share(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        let seal = vault.restarted();
        for _ in 0..2 {
            let status = seal.unseal(Some(secret(shares[1].expose()))).await.unwrap();
            assert_eq!((status.sealed, status.progress), (true, 1));
        }
    }

    async fn a_share_with_a_typing_mistake_is_refused_and_counts_for_nothing(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        let seal = vault.restarted();
        let mut mistyped = shares[0].expose().to_owned();
        let last = if mistyped.ends_with('a') { 'b' } else { 'a' };
        mistyped.pop();
        mistyped.push(last);
        for text in [mistyped.as_str(), "", "not a share"] {
            let error = seal.unseal(Some(secret(text))).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "malformed_share"));
        }
        assert_eq!(seal.status().await.unwrap().progress, 0);
    }

    async fn a_share_of_another_set_opens_nothing_and_all_are_forgotten(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        let elsewhere = TestDb::sqlite().await;
        let (_, foreign) = Vault::new(&elsewhere, SHAMIR).await;
        let seal = vault.restarted();
        seal.unseal(Some(secret(shares[0].expose()))).await.unwrap();
        let error = seal.unseal(Some(secret(foreign[1].expose()))).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unauthenticated, "wrong_key"));
        assert_eq!(seal.status().await.unwrap().progress, 0);
        for share in &shares[1..] {
            seal.unseal(Some(secret(share.expose()))).await.unwrap();
        }
        assert!(!seal.is_closed());
    }

    async fn a_whole_foreign_set_opens_nothing(db: &TestDb) {
        let (vault, _) = Vault::new(db, SHAMIR).await;
        let elsewhere = TestDb::sqlite().await;
        let (_, foreign) = Vault::new(&elsewhere, SHAMIR).await;
        let seal = vault.restarted();
        seal.unseal(Some(secret(foreign[0].expose()))).await.unwrap();
        let error = seal.unseal(Some(secret(foreign[1].expose()))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated);
        assert!(seal.is_closed());
    }

    async fn a_reset_forgets_the_shares_given_so_far(db: &TestDb) {
        let (vault, shares) = Vault::new(db, SHAMIR).await;
        let seal = vault.restarted();
        seal.unseal(Some(secret(shares[0].expose()))).await.unwrap();
        seal.reset();
        assert_eq!(seal.status().await.unwrap().progress, 0);
        seal.unseal(Some(secret(shares[1].expose()))).await.unwrap();
        assert!(seal.is_closed());
    }

    async fn impossible_numbers_of_shares_are_refused(db: &TestDb) {
        let vault = Vault::empty(db);
        for (threshold, shares) in [(0, 0), (1, 3), (4, 3), (2, 17), (2, 1)] {
            let error = vault.seal.init(Protection::Shamir { threshold, shares }).await.err().unwrap();
            assert_eq!((error.kind(), error.code()), (Kind::Invalid, "share_counts"), "{threshold} of {shares}");
        }
        assert!(!vault.seal.status().await.unwrap().initialized);
    }

    async fn unsealing_what_is_open_changes_nothing(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        assert!(!vault.seal.unseal(Some(secret("anything at all"))).await.unwrap().sealed);
    }
}
