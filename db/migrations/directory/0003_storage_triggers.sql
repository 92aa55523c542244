-- What refers to a blob is counted here and nowhere else, so that no statement can forget it, a cascade least of all. A blob that nothing
-- refers to any more is condemned in the same moment; one that was just inserted (refs 0) is not, until it was referred to once.
CREATE TRIGGER artifacts_need_a_blob BEFORE INSERT ON artifacts
  WHEN NOT EXISTS (SELECT 1 FROM blobs WHERE id = new.blob_id AND condemned_at_ms IS NULL) BEGIN
  SELECT RAISE(ABORT, 'blob_condemned');
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_need_another_blob BEFORE UPDATE OF blob_id ON artifacts
  WHEN old.blob_id <> new.blob_id AND NOT EXISTS (SELECT 1 FROM blobs WHERE id = new.blob_id AND condemned_at_ms IS NULL) BEGIN
  SELECT RAISE(ABORT, 'blob_condemned');
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_refer AFTER INSERT ON artifacts BEGIN
  UPDATE blobs SET refs = refs + 1 WHERE id = new.blob_id;
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_refer_elsewhere AFTER UPDATE OF blob_id ON artifacts WHEN old.blob_id <> new.blob_id BEGIN
  UPDATE blobs SET refs = refs + 1 WHERE id = new.blob_id;
  UPDATE blobs SET refs = refs - 1 WHERE id = old.blob_id;
END;
--> statement-breakpoint
CREATE TRIGGER artifacts_let_go AFTER DELETE ON artifacts BEGIN
  UPDATE blobs SET refs = refs - 1 WHERE id = old.blob_id;
END;
--> statement-breakpoint
CREATE TRIGGER blobs_used AFTER UPDATE OF refs ON blobs WHEN old.refs = 0 AND new.refs > 0 BEGIN
  INSERT INTO tenant_storage (tenant_id, bytes) VALUES (new.tenant_id, new.size_bytes)
    ON CONFLICT (tenant_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
--> statement-breakpoint
CREATE TRIGGER blobs_unused AFTER UPDATE OF refs ON blobs WHEN old.refs > 0 AND new.refs = 0 BEGIN
  UPDATE blobs SET condemned_at_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = new.id;
  UPDATE tenant_storage SET bytes = bytes - new.size_bytes WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER upload_parts_stored AFTER INSERT ON upload_parts BEGIN
  INSERT INTO tenant_storage (tenant_id, bytes) VALUES (new.tenant_id, new.size_bytes)
    ON CONFLICT (tenant_id) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
--> statement-breakpoint
CREATE TRIGGER upload_parts_replaced AFTER UPDATE OF size_bytes ON upload_parts BEGIN
  UPDATE tenant_storage SET bytes = bytes + new.size_bytes - old.size_bytes WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER upload_parts_gone AFTER DELETE ON upload_parts BEGIN
  UPDATE tenant_storage SET bytes = bytes - old.size_bytes WHERE tenant_id = old.tenant_id;
END;
