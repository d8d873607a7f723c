<?php

require_once __DIR__ . '/../autoload.php';
require_once __DIR__ . '/Scratch.php';
