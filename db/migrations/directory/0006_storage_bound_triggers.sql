-- Two bounds beside that of the stored bytes: on what a tenant's rows take in this database, which holds everybody's keys, and on what it let
-- go and the sweep has not deleted yet. A row counts as its texts and what it takes besides, its blob and its indexes too.
-- So that all that follows can be an UPDATE: every tenant has a row from its beginning.
CREATE TRIGGER tenants_store AFTER INSERT ON tenants BEGIN
  INSERT OR IGNORE INTO tenant_storage (tenant_id, bytes) VALUES (new.id, 0);
END;
--> statement-breakpoint
INSERT OR IGNORE INTO tenant_storage (tenant_id, bytes) SELECT id, 0 FROM tenants;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT blobs.tenant_id, sum(512 + 2 * octet_length(artifacts.path || artifacts.name) + octet_length(artifacts.content_type) + octet_length(artifacts.metadata)) AS bytes
    FROM artifacts JOIN blobs ON blobs.id = artifacts.blob_id GROUP BY blobs.tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT tenant_id, sum(512 + octet_length(disks.name) + octet_length(disks.metadata)) AS bytes
    FROM disks GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT tenant_id, sum(512 + 2 * octet_length(users.identifier)) AS bytes
    FROM users GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT tenant_id, sum(512 + octet_length(skills.name || skills.description) + coalesce(octet_length(skills.metadata), 0)) AS bytes
    FROM skills GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT tenant_id, sum(1024 + octet_length(uploads.path || uploads.name) + coalesce(octet_length(uploads.content_type), 0) + coalesce(octet_length(uploads.metadata), 0)) AS bytes
    FROM uploads GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET record_bytes = record_bytes + found.bytes FROM (
  SELECT tenant_id, sum(256) AS bytes
    FROM upload_parts GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
UPDATE tenant_storage SET condemned_bytes = found.bytes, condemned_count = found.count FROM (
  SELECT tenant_id, sum(size_bytes) AS bytes, count(*) AS count FROM blobs WHERE condemned_at_ms IS NOT NULL GROUP BY tenant_id
) AS found WHERE found.tenant_id = tenant_storage.tenant_id;
--> statement-breakpoint
-- 512 MiB: some 800,000 artifacts with short names. What makes it less is never refused, however much it is.
CREATE TRIGGER tenant_storage_records AFTER UPDATE OF record_bytes ON tenant_storage
  WHEN new.record_bytes > old.record_bytes AND new.record_bytes > 536870912 BEGIN
  SELECT RAISE(ABORT, 'records_exceeded');
END;
--> statement-breakpoint
-- Whose an artifact is, its blob says: in a cascade the disk is gone already.
CREATE TRIGGER artifacts_recorded AFTER INSERT ON artifacts BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes + 512 + 2 * octet_length(new.path || new.name) + octet_length(new.content_type) + octet_length(new.metadata)
    WHERE tenant_id = (SELECT tenant_id FROM blobs WHERE id = new.blob_id);
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_recorded_anew AFTER UPDATE OF path, name, content_type, metadata ON artifacts BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes
    + (2 * octet_length(new.path || new.name) + octet_length(new.content_type) + octet_length(new.metadata))
    - (2 * octet_length(old.path || old.name) + octet_length(old.content_type) + octet_length(old.metadata))
    WHERE tenant_id = (SELECT tenant_id FROM blobs WHERE id = new.blob_id);
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_not_recorded AFTER DELETE ON artifacts BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes - (512 + 2 * octet_length(old.path || old.name) + octet_length(old.content_type) + octet_length(old.metadata))
    WHERE tenant_id = (SELECT tenant_id FROM blobs WHERE id = old.blob_id);
END;
--> statement-breakpoint
CREATE TRIGGER disks_recorded AFTER INSERT ON disks BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes + 512 + octet_length(new.name) + octet_length(new.metadata)
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER disks_recorded_anew AFTER UPDATE OF name, metadata ON disks BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes
    + (octet_length(new.name) + octet_length(new.metadata))
    - (octet_length(old.name) + octet_length(old.metadata))
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER disks_not_recorded AFTER DELETE ON disks BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes - (512 + octet_length(old.name) + octet_length(old.metadata))
    WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER users_recorded AFTER INSERT ON users BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes + 512 + 2 * octet_length(new.identifier)
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER users_recorded_anew AFTER UPDATE OF identifier ON users BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes
    + (2 * octet_length(new.identifier))
    - (2 * octet_length(old.identifier))
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER users_not_recorded AFTER DELETE ON users BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes - (512 + 2 * octet_length(old.identifier))
    WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER skills_recorded AFTER INSERT ON skills BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes + 512 + octet_length(new.name || new.description) + coalesce(octet_length(new.metadata), 0)
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER skills_recorded_anew AFTER UPDATE OF name, description, metadata ON skills BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes
    + (octet_length(new.name || new.description) + coalesce(octet_length(new.metadata), 0))
    - (octet_length(old.name || old.description) + coalesce(octet_length(old.metadata), 0))
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER skills_not_recorded AFTER DELETE ON skills BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes - (512 + octet_length(old.name || old.description) + coalesce(octet_length(old.metadata), 0))
    WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER uploads_recorded AFTER INSERT ON uploads BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes + 1024 + octet_length(new.path || new.name) + coalesce(octet_length(new.content_type), 0) + coalesce(octet_length(new.metadata), 0)
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER uploads_recorded_anew AFTER UPDATE OF path, name, content_type, metadata ON uploads BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes
    + (octet_length(new.path || new.name) + coalesce(octet_length(new.content_type), 0) + coalesce(octet_length(new.metadata), 0))
    - (octet_length(old.path || old.name) + coalesce(octet_length(old.content_type), 0) + coalesce(octet_length(old.metadata), 0))
    WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER uploads_not_recorded AFTER DELETE ON uploads BEGIN
  UPDATE tenant_storage SET record_bytes = record_bytes - (1024 + octet_length(old.path || old.name) + coalesce(octet_length(old.content_type), 0) + coalesce(octet_length(old.metadata), 0))
    WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
DROP TRIGGER upload_parts_stored;
--> statement-breakpoint
CREATE TRIGGER upload_parts_stored AFTER INSERT ON upload_parts BEGIN
  UPDATE tenant_storage SET bytes = bytes + new.size_bytes, record_bytes = record_bytes + 256 WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
DROP TRIGGER upload_parts_gone;
--> statement-breakpoint
CREATE TRIGGER upload_parts_gone AFTER DELETE ON upload_parts BEGIN
  UPDATE tenant_storage SET bytes = bytes - old.size_bytes, record_bytes = record_bytes - 256 WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
DROP TRIGGER blobs_unused;
--> statement-breakpoint
CREATE TRIGGER blobs_unused AFTER UPDATE OF refs ON blobs WHEN old.refs > 0 AND new.refs = 0 BEGIN
  UPDATE blobs SET condemned_at_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = new.id;
  UPDATE tenant_storage SET bytes = bytes - new.size_bytes, condemned_bytes = condemned_bytes + new.size_bytes,
    condemned_count = condemned_count + 1 WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER blobs_swept AFTER DELETE ON blobs WHEN old.condemned_at_ms IS NOT NULL BEGIN
  UPDATE tenant_storage SET condemned_bytes = condemned_bytes - old.size_bytes, condemned_count = condemned_count - 1
    WHERE tenant_id = old.tenant_id;
END;
