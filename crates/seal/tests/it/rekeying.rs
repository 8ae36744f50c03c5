//! Protecting the root key in another way.

use writ_kernel::Kind;
use writ_seal::Protection;
use writ_store::{on_both, testing::TestDb};

use crate::{SHAMIR, Vault, opened, passphrase, sealed, secret};

on_both! {
    async fn after_a_rekey_the_new_key_opens_the_same_data(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let tenant = vault.tenant().await;
        let value = sealed(&vault.seal, db, tenant, "still here").await;
        vault.rekey(passphrase("correct horse battery")).await.unwrap();
        assert_eq!(opened(&vault.seal, db, tenant, &value).await.unwrap().expose(), b"still here");
        let seal = vault.restarted();
        seal.unseal(Some(secret("correct horse battery"))).await.unwrap();
        assert_eq!(opened(&seal, db, tenant, &value).await.unwrap().expose(), b"still here");
    }

    async fn after_a_rekey_the_old_key_opens_nothing(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        vault.rekey(passphrase("another horse entirely")).await.unwrap();
        let seal = vault.restarted();
        let error = seal.unseal(Some(secret("correct horse battery"))).await.unwrap_err();
        assert_eq!(error.code(), "wrong_key");
        seal.unseal(Some(secret("another horse entirely"))).await.unwrap();
    }

    async fn after_a_rekey_old_shares_open_nothing(db: &TestDb) {
        let (vault, old) = Vault::new(db, SHAMIR).await;
        let new = vault.rekey(SHAMIR).await.unwrap();
        let seal = vault.restarted();
        seal.unseal(Some(secret(old[0].expose()))).await.unwrap();
        assert_eq!(seal.unseal(Some(secret(old[1].expose()))).await.unwrap_err().code(), "wrong_key");
        seal.unseal(Some(secret(new[0].expose()))).await.unwrap();
        assert!(!seal.unseal(Some(secret(new[1].expose()))).await.unwrap().sealed);
    }

    async fn a_rekey_that_is_not_committed_changes_nothing(db: &TestDb) {
        let (vault, _) = Vault::new(db, passphrase("correct horse battery")).await;
        let prepared = vault.seal.prepare(passphrase("another horse entirely")).await.unwrap();
        let mut tx = db.db.tx(db.db.world().id()).await.unwrap();
        vault.seal.rekey(&mut tx, prepared).await.unwrap();
        drop(tx);
        vault.restarted().unseal(Some(secret("correct horse battery"))).await.unwrap();
    }

    async fn a_key_file_is_not_replaced_under_its_own_seal(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        let error = vault.rekey(Protection::DevFile).await.err().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "same_protection"));
        vault.restarted().unseal(None).await.unwrap();
    }

    async fn a_closed_seal_cannot_be_rekeyed(db: &TestDb) {
        let (vault, _) = Vault::new(db, Protection::DevFile).await;
        vault.seal.close();
        assert_eq!(vault.rekey(passphrase("correct horse battery")).await.err().unwrap().kind(), Kind::Sealed);
        vault.restarted().unseal(None).await.unwrap();
    }
}
