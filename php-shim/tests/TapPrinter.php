<?php

namespace Bam\Tests;

use PHPUnit\Framework\AssertionFailedError;
use PHPUnit\Framework\Test;
use PHPUnit\Framework\TestCase;
use PHPUnit\Framework\TestListenerDefaultImplementation;
use PHPUnit\Framework\TestResult;
use PHPUnit\Framework\Warning;
use PHPUnit\TextUI\ResultPrinter;

/**
 * Prints results as TAP, which the tests of all languages here speak.
 */
final class TapPrinter implements ResultPrinter
{
    use TestListenerDefaultImplementation;

    private ?string $trouble = null;
    private ?string $skipped = null;

    public function addError(Test $test, \Throwable $cause, float $time): void
    {
        $this->trouble = get_class($cause) . ': ' . $cause->getMessage() . "\n" . $cause->getTraceAsString();
    }

    public function addWarning(Test $test, Warning $warning, float $time): void
    {
        $this->trouble = $warning->getMessage();
    }

    public function addFailure(Test $test, AssertionFailedError $failure, float $time): void
    {
        $this->trouble = $failure->toString() . "\n" . $failure->getTraceAsString();
    }

    public function addRiskyTest(Test $test, \Throwable $cause, float $time): void
    {
        $this->trouble = $cause->getMessage();
    }

    public function addSkippedTest(Test $test, \Throwable $cause, float $time): void
    {
        $this->skipped = strtr($cause->getMessage(), "\n", ' ');
    }

    public function startTest(Test $test): void
    {
        $this->trouble = $this->skipped = null;
    }

    public function endTest(Test $test, float $time): void
    {
        $name = substr(get_class($test), strlen(__NAMESPACE__) + 1);
        $name .= $test instanceof TestCase ? '::' . $test->getName() : '';
        $skip = $this->skipped === null ? '' : " # SKIP $this->skipped";
        $this->write(($this->trouble === null ? 'ok' : 'not ok') . " - $name$skip\n");
        if ($this->trouble !== null) {
            $this->write(preg_replace('/^/m', '# ', rtrim($this->trouble)) . "\n");
        }
    }

    public function printResult(TestResult $result): void
    {
    }

    public function write(string $buffer): void
    {
        fwrite(STDOUT, $buffer);
    }
}
