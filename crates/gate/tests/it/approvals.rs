//! Others agree to exactly one change, for a while.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use writ_gate::approvals::{self, LIFETIME, New, Request, State, Vote};
use writ_kernel::{Action, Id, Kind, PageRequest, Principal, Result, World};
use writ_store::{Db, on_both, testing::TestDb};
use writ_testkit::{House, Someone};

const BINDING: &str = "sha256:0000";

struct Scene {
    db: Db,
    world: World,
    admin: Someone,
    author: Id<Principal>,
    house: House,
}

impl Scene {
    async fn over(db: &TestDb) -> Self {
        let house = House::over(db).await;
        let (admin, world) = (house.tenant("acme").await, house.gate.world().clone());
        Self { db: house.gate.db().clone(), author: world.id(), world, admin, house }
    }

    async fn request(&self, quorum: u8) -> Request {
        self.request_about(self.world.uuid(), quorum).await
    }

    async fn request_about(&self, resource: uuid::Uuid, quorum: u8) -> Request {
        let mut tx = self.db.tx(self.admin.tenant()).await.unwrap();
        let (environment, author, binding) = (self.world.id(), self.author, BINDING.to_owned());
        let new = New { action: Action::DeploymentApply, resource, environment, author, binding, quorum };
        let request = approvals::request(&mut tx, &self.world, new).await.unwrap();
        tx.commit().await.unwrap();
        request
    }

    /// Somebody speaks, in a transaction of their own.
    async fn vote(&self, request: &Request, who: Id<Principal>, approve: bool) -> Result<State> {
        self.vote_on(request, BINDING, who, approve).await
    }

    async fn vote_on(
        &self,
        request: &Request,
        reviewed: &str,
        who: Id<Principal>,
        approve: bool,
    ) -> Result<State> {
        let mut tx = self.db.tx(self.admin.tenant()).await?;
        let vote = Vote { principal: who, approve, comment: None, at: self.world.now() };
        let state = approvals::decide(&mut tx, request, reviewed, vote).await?;
        tx.commit().await?;
        Ok(state)
    }

    async fn consume(&self, request: &Request) -> Result<()> {
        let mut tx = self.db.tx(self.admin.tenant()).await?;
        let request = approvals::find(&mut tx, request.id).await?.unwrap();
        approvals::consume(&mut tx, &request, self.world.now()).await?;
        tx.commit().await
    }

    async fn state(&self, request: &Request) -> State {
        let mut tx = self.db.read(self.admin.tenant()).await.unwrap();
        approvals::find(&mut tx, request.id).await.unwrap().unwrap().state_at(self.world.now())
    }

    fn somebody(&self) -> Id<Principal> {
        self.world.id()
    }
}

on_both! {
    async fn the_author_cannot_decide(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(1).await;
        for approve in [true, false] {
            let error = scene.vote(&request, scene.author, approve).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "separation_of_duties"));
        }
        assert_eq!(scene.state(&request).await, State::Pending);
    }

    async fn nobody_decides_twice(db: &TestDb) {
        let scene = Scene::over(db).await;
        let (request, ann) = (scene.request(2).await, scene.somebody());
        assert_eq!(scene.vote(&request, ann, true).await.unwrap(), State::Pending);
        for approve in [true, false] {
            let error = scene.vote(&request, ann, approve).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::Conflict, "already_decided"));
        }
        assert_eq!(scene.state(&request).await, State::Pending);
    }

    async fn what_was_reviewed_is_what_is_approved(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(1).await;
        let error = scene.vote_on(&request, "sha256:ffff", scene.somebody(), true).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "binding_mismatch"));
        assert_eq!(scene.state(&request).await, State::Pending);
    }

    async fn enough_others_make_it_approved(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(3).await;
        assert_eq!(scene.vote(&request, scene.somebody(), true).await.unwrap(), State::Pending);
        assert_eq!(scene.vote(&request, scene.somebody(), true).await.unwrap(), State::Pending);
        assert_eq!(scene.vote(&request, scene.somebody(), true).await.unwrap(), State::Approved);
        assert_eq!(scene.state(&request).await, State::Approved);
    }

    async fn one_who_says_no_is_enough(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(2).await;
        scene.vote(&request, scene.somebody(), true).await.unwrap();
        assert_eq!(scene.vote(&request, scene.somebody(), false).await.unwrap(), State::Rejected);
        let late = scene.vote(&request, scene.somebody(), true).await.unwrap_err();
        assert_eq!(late.public(), "the request is rejected");
        assert_eq!(scene.consume(&request).await.unwrap_err().code(), "approval_not_usable");
    }

    async fn votes_at_the_same_moment_are_all_counted(db: &TestDb) {
        let scene = Arc::new(Scene::over(db).await);
        for _ in 0..5 {
            let request = Arc::new(scene.request(4).await);
            let votes = (0..4).map(|_| {
                let (scene, request) = (scene.clone(), request.clone());
                tokio::spawn(async move { scene.vote(&request, scene.somebody(), true).await })
            });
            let states: Vec<_> = join_all(votes).await.into_iter().map(|vote| vote.unwrap().unwrap()).collect();
            assert_eq!(states.iter().filter(|state| **state == State::Approved).count(), 1, "{states:?}");
            assert_eq!(scene.state(&request).await, State::Approved);
        }
    }

    async fn of_a_yes_and_a_no_at_the_same_moment_one_decides(db: &TestDb) {
        let scene = Arc::new(Scene::over(db).await);
        for _ in 0..5 {
            let request = Arc::new(scene.request(1).await);
            let votes = [true, false].map(|approve| {
                let (scene, request) = (scene.clone(), request.clone());
                tokio::spawn(async move { scene.vote(&request, scene.somebody(), approve).await })
            });
            let outcomes: Vec<_> = join_all(votes).await.into_iter().map(|vote| vote.unwrap()).collect();
            let decided: Vec<_> = outcomes.iter().flatten().collect();
            assert_eq!(decided.len(), 1, "{outcomes:?}");
            assert_eq!(scene.state(&request).await, *decided[0]);
        }
    }

    async fn a_request_that_nobody_decides_expires(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(1).await;
        scene.house.advance(LIFETIME);
        assert_eq!(scene.state(&request).await, State::Expired);
        let late = scene.vote(&request, scene.somebody(), true).await.unwrap_err();
        assert_eq!(late.public(), "the request is expired");
    }

    async fn an_approval_that_nobody_uses_expires(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(1).await;
        scene.vote(&request, scene.somebody(), true).await.unwrap();
        scene.house.advance(LIFETIME.saturating_sub(Duration::from_secs(1)));
        assert_eq!(scene.state(&request).await, State::Approved);
        scene.house.advance(Duration::from_secs(1));
        assert_eq!(scene.consume(&request).await.unwrap_err().code(), "approval_not_usable");
    }

    async fn an_approval_is_used_once_however_many_try(db: &TestDb) {
        let scene = Arc::new(Scene::over(db).await);
        let request = Arc::new(scene.request(1).await);
        scene.vote(&request, scene.somebody(), true).await.unwrap();
        let attempts = (0..10).map(|_| {
            let (scene, request) = (scene.clone(), request.clone());
            tokio::spawn(async move { scene.consume(&request).await })
        });
        let outcomes: Vec<_> = join_all(attempts).await.into_iter().map(|attempt| attempt.unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|error| error.code() == "approval_not_usable"));
        assert_eq!(scene.state(&request).await, State::Used);
    }

    async fn what_is_not_approved_cannot_be_used(db: &TestDb) {
        let scene = Scene::over(db).await;
        let request = scene.request(1).await;
        assert_eq!(scene.consume(&request).await.unwrap_err().code(), "approval_not_usable");
    }

    async fn a_new_request_about_the_same_thing_supersedes_the_old(db: &TestDb) {
        let scene = Scene::over(db).await;
        let resource = scene.world.uuid();
        let first = scene.request_about(resource, 1).await;
        scene.vote(&first, scene.somebody(), true).await.unwrap();
        scene.house.advance(Duration::from_secs(1));
        let second = scene.request_about(resource, 1).await;
        let unrelated = scene.request(1).await;
        assert_eq!(scene.state(&first).await, State::Superseded);
        assert_eq!(scene.consume(&first).await.unwrap_err().code(), "approval_not_usable");
        assert_eq!((scene.state(&second).await, scene.state(&unrelated).await), (State::Pending, State::Pending));
        let mut tx = scene.db.read(scene.admin.tenant()).await.unwrap();
        let latest = approvals::latest_for(&mut tx, resource).await.unwrap().unwrap();
        assert_eq!(latest.id, second.id);
    }

    async fn a_listing_is_of_ones_own_tenant_newest_first_and_by_state(db: &TestDb) {
        let scene = Scene::over(db).await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(scene.request(1).await.id);
            scene.house.advance(Duration::from_secs(1));
        }
        let approved = scene.request(1).await;
        scene.vote(&approved, scene.somebody(), true).await.unwrap();
        let mut tx = scene.db.read(scene.admin.tenant()).await.unwrap();
        let first = approvals::list(&mut tx, Some(State::Pending), &PageRequest::new(None, Some(2)).unwrap()).await.unwrap();
        let next = first.next.clone().unwrap().0;
        let second = approvals::list(&mut tx, Some(State::Pending), &PageRequest::new(Some(next), Some(2)).unwrap()).await.unwrap();
        assert!(second.next.is_none());
        let listed: Vec<_> = first.items.iter().chain(&second.items).map(|request| request.id).collect();
        assert_eq!(listed, made.iter().rev().copied().collect::<Vec<_>>());
        let all = approvals::list(&mut tx, None, &PageRequest::new(None, None).unwrap()).await.unwrap();
        assert_eq!(all.items.len(), 4);

        let stranger = scene.house.tenant("umbrella").await;
        let mut tx = scene.db.read(stranger.tenant()).await.unwrap();
        assert!(approvals::list(&mut tx, None, &PageRequest::new(None, None).unwrap()).await.unwrap().items.is_empty());
        assert!(approvals::find(&mut tx, made[0]).await.unwrap().is_none());
    }

    async fn a_cursor_that_is_none_is_refused(db: &TestDb) {
        let scene = Scene::over(db).await;
        let mut tx = scene.db.read(scene.admin.tenant()).await.unwrap();
        let page = PageRequest::new(Some("'; DROP TABLE approvals --".to_owned()), None).unwrap();
        assert_eq!(approvals::list(&mut tx, None, &page).await.unwrap_err().kind(), Kind::Invalid);
    }
}
