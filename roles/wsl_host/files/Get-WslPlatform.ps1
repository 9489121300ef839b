<#
.SYNOPSIS
    Tells what this machine has of WSL, and whether it can carry a guest that sees the cards.
.DESCRIPTION
    Run by ansible.windows.win_powershell; reads only, and does not call wsl.exe: where WSL is not installed, the
    one that Windows brings along asks whether it should be, and waits for a key.
    The result has "distributions" (of this account), "package" (version of WSL's own package, or empty),
    "virtualization", "features" (state of each Windows feature that WSL needs) and "tcc_cards" (names).
#>
[CmdletBinding(SupportsShouldProcess)]
param(
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$distributions = @()
$lxss = 'HKCU:\Software\Microsoft\Windows\CurrentVersion\Lxss'
if (Test-Path -LiteralPath $lxss) {
    $distributions = @(
        Get-ChildItem -LiteralPath $lxss |
            ForEach-Object { [string]$_.GetValue('DistributionName', '') } |
            Where-Object { $_ }
    )
}

$package = ''
$msi = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Lxss\MSI'
if (Test-Path -LiteralPath $msi) {
    $package = [string](Get-Item -LiteralPath $msi).GetValue('Version', '')
}

$features = @{}
foreach ($name in @('Microsoft-Windows-Subsystem-Linux', 'VirtualMachinePlatform')) {
    $features[$name] = [string](Get-WindowsOptionalFeature -Online -FeatureName $name).State
}

# Under a hypervisor that runs already, the processor no longer reports what its firmware allows.
$virtualization = [bool](Get-CimInstance -ClassName Win32_ComputerSystem).HypervisorPresent
foreach ($processor in @(Get-CimInstance -ClassName Win32_Processor)) {
    $virtualization = $virtualization -or [bool]$processor.VirtualizationFirmwareEnabled
}

$tcc = @()
if (Get-Command -Name nvidia-smi.exe -CommandType Application -ErrorAction SilentlyContinue) {
    $ErrorActionPreference = 'Continue'
    $rows = @(& nvidia-smi.exe '--query-gpu=name,driver_model.current' '--format=csv,noheader')
    $ErrorActionPreference = 'Stop'
    $tcc = @($rows | Where-Object { $_ -match ',\s*TCC\s*$' } | ForEach-Object { ($_ -split ',')[0].Trim() })
}

$Ansible.Result = @{
    distributions = $distributions
    package = $package
    virtualization = $virtualization
    features = $features
    tcc_cards = $tcc
}
