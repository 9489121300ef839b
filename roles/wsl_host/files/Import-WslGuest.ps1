<#
.SYNOPSIS
    A WSL distribution of this name exists, made from a root file system where there was none.
.DESCRIPTION
    Run by ansible.windows.win_powershell. One that exists is left as it is, and so is a folder in which something
    lies: it may be the disk of a distribution of somebody else.
.PARAMETER Folder
    Where its disk is to lie; made here.
.PARAMETER RootFs
    A tar archive of the root file system, compressed or not.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Distribution,

    [Parameter(Mandatory = $true)]
    [string]
    $Folder,

    [Parameter(Mandatory = $true)]
    [string]
    $RootFs
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false
$env:WSL_UTF8 = '1'

function Get-Distribution {
    $lxss = 'HKCU:\Software\Microsoft\Windows\CurrentVersion\Lxss'
    if (Test-Path -LiteralPath $lxss) {
        Get-ChildItem -LiteralPath $lxss | ForEach-Object { [string]$_.GetValue('DistributionName', '') }
    }
}

$before = @(Get-Distribution)
$after = $before
if ($before -notcontains $Distribution) {
    $after = $before + $Distribution
    if ((Test-Path -LiteralPath $Folder) -and @(Get-ChildItem -LiteralPath $Folder -Force).Count -gt 0) {
        throw "found: $Folder is not empty, and no distribution $Distribution`n" +
            "expected: an empty folder, or none, for the disk of the new distribution`n" +
            "next step: see whose it is; what an import left that was cut off may be removed"
    }
    if ($PSCmdlet.ShouldProcess($Distribution, "import $RootFs")) {
        $null = New-Item -Path $Folder -ItemType Directory -Force
        $ErrorActionPreference = 'Continue'
        $said = (@(& wsl.exe --import $Distribution $Folder $RootFs --version 2) -join ' ').Trim()
        $code = $LASTEXITCODE
        $ErrorActionPreference = 'Stop'
        if ($code -ne 0) {
            throw "found: wsl --import ended with ${code}: $said`n" +
                "expected: the distribution $Distribution in $Folder`n" +
                "next step: wsl --status on Windows tells what WSL misses"
        }
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = @{ distributions = $before }; after = @{ distributions = $after } }
$Ansible.Result = @{ distribution = $Distribution }
