/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `node`;
CREATE TABLE `node` (`nid` int(11) NOT NULL, `b` blob, PRIMARY KEY (`nid`)) ENGINE=InnoDB;
INSERT INTO `node` VALUES (1,'it''s; \'x\''),(2,NULL),(3,x'00ff'),(4,_binary 'a\0');
SET sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES';
INSERT INTO "node" (nid) VALUES (5);
-- bam: views, triggers, routines, events
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t BEFORE INSERT ON node FOR EACH ROW BEGIN SET NEW.b='x'; END */;;
CREATE DEFINER=`u`@`%` PROCEDURE p() BEGIN SELECT 1; END ;;
DELIMITER ;
CREATE VIEW `d7`.`v` AS SELECT 1 AS a FROM `d7`.node;
SET NAMES gbk; USE other; LOCK TABLES node WRITE; \! id
-- Dump completed
