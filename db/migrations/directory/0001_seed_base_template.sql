INSERT INTO `templates` (`name`, `image`, `warm_count`, `created_at_ms`) VALUES ('base', 'glovebox/base:latest', 4, 0);
